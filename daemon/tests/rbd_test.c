// SPDX-License-Identifier: GPL-2.0-only
/* The rbd plugin against a real cluster (rbd_cluster.sh), if PORTAL_CEPH=1; else skips. */
/* LINK: sandbox.o lower.o plugin.o block.o backend.o -luring -ldl -lseccomp -lcap-ng */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include "model.h"
#include "config.h"
#include "ceph_rig.h"

/* sandbox.c; worker.h would bring another struct portal_instance */
int sandbox_ring(struct io_uring *ring, unsigned int entries, enum sandbox_mode mode,
		 struct err *err);
int sandbox_enter(enum sandbox_mode mode, struct err *err);

#define BLOCK	65536

static void open_it(struct portal_instance *pi, const char *image, const char *more)
{
	layers_open(pi, "rbd conf=%s image=%s %s", ceph_conf, image, more);
}

static void refuse(const char *words, const char *what)
{
	char text[1024];

	snprintf(text, sizeof(text), "rbd conf=%s %s", ceph_conf, words);
	layers_refuse(text, what);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- keys and errors ---------------------------------------------------------- */

static void needs_no_cluster_to_explain(void **state)
{
	(void)state;
	ceph_need_plugin();
	layers_refuse("rbd", "image= is missing");
	layers_refuse("rbd image=", "is empty");
	layers_refuse("rbd image=x deadline=0", "1 to 3600");
	layers_refuse("rbd image=x connect_timeout=5000", "1 to 3600");
	layers_refuse("rbd image=x color=red", "unknown key");
	layers_refuse("rbd image=x conf=/nonexistent", "/nonexistent cannot be read");
}

static void explains_what_is_wrong(void **state)
{
	uint64_t start = now_ms();
	char words[600];

	(void)state;
	ceph_need();
	ceph_image("wrong", 8);
	refuse("image=nosuch", "rbd/nosuch: there is no such image");
	refuse("image=wrong pool=nosuch", "there is no pool 'nosuch'");
	refuse("image=wrong namespace=nosuch", "rbd/nosuch/wrong: there is no such image");
	refuse("image=wrong snapshot=nosuch", "no such snapshot");
	refuse("image=wrong id=nobody", "no key of client.nobody");
	refuse("image=wrong keyring=/nonexistent", "/nonexistent cannot be read");
	ceph_do("ceph auth get-or-create client.poor mon allow~r -o %s/poor", ceph_dir);
	snprintf(words, sizeof(words), "image=wrong id=poor keyring=%s/poor", ceph_dir);
	refuse(words, "client.poor may not use it");
	/* the key of another cluster's client of that name */
	snprintf(words, sizeof(words), "ceph-authtool -C %s/other --gen-key -n client.admin >/dev/null",
		 ceph_dir);
	assert_int_equal(system(words), 0);
	snprintf(words, sizeof(words), "image=wrong keyring=%s/other", ceph_dir);
	refuse(words, "does not know client.admin");
	ceph_do("rbd config image set rbd/wrong rbd_cache true");
	refuse("image=wrong", "rbd_cache = true");
	ceph_do("rbd config image remove rbd/wrong rbd_cache");
	ceph_do("rbd feature disable rbd/wrong fast-diff object-map exclusive-lock");
	refuse("image=wrong", "no exclusive-lock");
	assert_in_range(now_ms() - start, 0, 30000);
}

static void connecting_takes_no_longer_than_said(void **state)
{
	uint64_t start = now_ms();

	(void)state;
	ceph_need();
	ceph_image("slow", 8);
	refuse("image=slow mon_host=127.0.0.1:9 connect_timeout=2", "no");
	ceph_do("mon-stop");
	refuse("image=slow connect_timeout=2", "no");
	ceph_do("mon-cont");
	ceph_do("osd-stop");
	refuse("image=slow connect_timeout=2", "the OSDs do not answer");
	ceph_do("osd-cont");
	assert_in_range(now_ms() - start, 3000, 15000);
}

/* ---- reading and writing --------------------------------------------------------- */

static void keeps_what_is_written(void **state)
{
	char cmd[200], mon[100];
	struct portal_instance pi;
	FILE *f;

	(void)state;
	ceph_need();
	ceph_image("plain", 8);
	open_it(&pi, "plain", "");
	assert_int_equal(block_info(pi.rig.blk)->size, DISK);
	assert_true(block_info(pi.rig.blk)->zero && block_info(pi.rig.blk)->fua);
	random_io(&pi, 300);
	compare(&pi);
	layers_close(&pi);
	/* without a configuration file */
	snprintf(cmd, sizeof(cmd), "ceph-conf -c %s --lookup mon_host", ceph_conf);
	f = popen(cmd, "re");
	assert_true(f && fgets(mon, sizeof(mon), f) && !pclose(f));
	mon[strcspn(mon, "\n")] = '\0';
	layers_open(&pi, "rbd mon_host=%s keyring=%s/keyring image=plain readonly=on", mon, ceph_dir);
	compare(&pi);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), -EROFS);
	layers_close(&pi);
}

static void a_snapshot_stays_as_it_was(void **state)
{
	struct portal_instance pi;

	(void)state;
	ceph_need();
	ceph_do("rbd namespace create rbd/ns");
	ceph_image("ns/snap", 8);
	open_it(&pi, "snap", "namespace=ns");
	random_io(&pi, 50);
	/* done by us: we have the lock */
	ceph_do("rbd snap create rbd/ns/snap@one");
	rig_fill(data, sizeof(data), 99);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, sizeof(data)), 0);
	layers_close(&pi);
	open_it(&pi, "snap", "namespace=ns snapshot=one");
	compare(&pi);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), -EROFS);
	layers_close(&pi);
}

static void an_overlay_over_it(void **state)
{
	struct portal_instance pi;

	(void)state;
	ceph_need();
	ceph_image("base", 8);
	layers_open(&pi, "overlay path=%s/cow lower=rbd lower.conf=%s lower.image=base lower.readonly=on",
		    ceph_dir, ceph_conf);
	random_io(&pi, 150);
	compare(&pi);
	layers_close(&pi);
	memset(model, 0, DISK);
	open_it(&pi, "base", "");
	compare(&pi);
	layers_close(&pi);
}

/* ---- who may write --------------------------------------------------------------- */

static void one_writer_and_many_readers(void **state)
{
	struct portal_instance one, two;
	char who[64];

	(void)state;
	ceph_need();
	ceph_image("mine", 8);
	open_it(&one, "mine", "");
	assert_int_equal(lio(&one, PORTAL_IO_WRITE, 0, 0, data, 512), 0);
	refuse("image=mine", "is in use: client.");
	refuse("image=mine", " at 127.0.0.1:0/");
	open_it(&two, "mine", "readonly=on");
	assert_int_equal(lio(&two, PORTAL_IO_READ, 0, 0, back, 512), 0);
	layers_close(&two);
	/* still ours */
	assert_int_equal(lio(&one, PORTAL_IO_WRITE, 0, 0, data, 512), 0);
	layers_close(&one);
	open_it(&two, "mine", "");
	layers_close(&two);
	snprintf(who, sizeof(who), "rbd lock add rbd/mine by-hand");
	ceph_do("%s", who);
	refuse("image=mine", "by-hand");
	open_it(&two, "mine", "readonly=on");
	layers_close(&two);
}

/* Somebody breaks our lock: nothing of ours gets into the image any more. */
static void a_broken_lock_is_an_error(void **state)
{
	struct portal_instance pi;
	char cmd[300];

	(void)state;
	ceph_need();
	ceph_image("lost", 8);
	open_it(&pi, "lost", "");
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), 0);
	snprintf(cmd, sizeof(cmd), "rbd -c %s lock ls rbd/lost | awk '/client/ {print $2 \" \" $3 \"|\" $1}' >%s/lock; "
		 "IFS='|' read cookie locker <%s/lock; rbd -c %s lock rm rbd/lost \"$cookie\" \"$locker\"",
		 ceph_conf, ceph_dir, ceph_dir, ceph_conf);
	assert_int_equal(system(cmd), 0);
	layer_log_lines = 0;
	while (!lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512))
		;
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), -EIO);
	assert_int_equal(__atomic_load_n(&layer_log_lines, __ATOMIC_RELAXED), 1);
	assert_non_null(strstr(layer_log, "blocklist"));
	layers_close(&pi);
}

/* ---- size and removal -------------------------------------------------------------- */

static void wait_for_size(struct portal_instance *pi, uint64_t size)
{
	uint64_t end = now_ms() + 10000;

	while (block_info(pi->rig.blk)->size != size) {
		assert_true(now_ms() < end);
		assert_int_equal(lio(pi, PORTAL_IO_READ, 0, 0, back, 512), 0);
	}
}

static void it_grows_and_shrinks(void **state)
{
	struct portal_instance pi, reader;

	(void)state;
	ceph_need();
	ceph_image("grow", 8);
	open_it(&pi, "grow", "");
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), 0);
	assert_int_equal(backend_resize(pi.rig.be, 16 << 20), 0);
	assert_int_equal(block_update_size(pi.rig.blk), 0);
	assert_int_equal(block_info(pi.rig.blk)->size, 16 << 20);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 15 << 20, data, 1 << 20), 0);
	open_it(&reader, "grow", "readonly=on");
	assert_int_equal(backend_resize(reader.rig.be, 20 << 20), -EROFS);
	layers_close(&reader);
	/* never by us */
	assert_int_not_equal(backend_resize(pi.rig.be, 8 << 20), 0);
	pi.rig.resized = 0;
	ceph_do("rbd resize --size 24M rbd/grow");
	wait_for_size(&pi, 24 << 20);
	assert_true(pi.rig.resized > 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 15 << 20, back, 1 << 20), 0);
	assert_memory_equal(back, data, 1 << 20);
	ceph_do("rbd resize --allow-shrink --size 8M rbd/grow");
	wait_for_size(&pi, 8 << 20);
	assert_int_not_equal(lio(&pi, PORTAL_IO_WRITE, 0, 15 << 20, data, 1 << 20), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 7 << 20, data, 1 << 20), 0);
	layers_close(&pi);
}

static void a_removed_image_is_an_error(void **state)
{
	struct portal_instance pi;
	uint64_t end;

	(void)state;
	ceph_need();
	ceph_image("gone", 8);
	open_it(&pi, "gone", "");
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), 0);
	/* as long as we have it open it cannot be removed by ordinary means */
	assert_int_not_equal(ceph_try("rbd rm --no-progress rbd/gone"), 0);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, back, 512), 0);
	layer_log_lines = 0;
	ceph_do("header-rm rbd/gone");
	end = now_ms() + 15000;
	while (!lio(&pi, PORTAL_IO_READ, 0, 0, back, 512))
		assert_true(now_ms() < end);
	assert_int_not_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), 0);
	assert_true(__atomic_load_n(&layer_log_lines, __ATOMIC_RELAXED) > 0);
	layers_close(&pi);
}

/* ---- death --------------------------------------------------------------------------- */

/* kill -9 of the OSD with writes in flight; what is in flight waits for the next one. */
static void a_killed_osd_comes_back(void **state)
{
	static struct rig_req r[32];
	const char *kills = getenv("PORTAL_RBD_KILLS");
	unsigned int i, n, done, rounds = kills ? (unsigned int)atoi(kills) : 1;
	struct portal_instance pi;

	(void)state;
	ceph_need();
	ceph_image("kill", 8);
	open_it(&pi, "kill", "deadline=120");
	for (n = 0; n < rounds; n++) {
		for (i = 0; i < 32; i++) {
			uint64_t off = (uint64_t)(i * 16 + n % 16) * 16384;

			rig_fill(model + off, 16384, n * 32 + i);
			rig_submit(&pi.rig, &r[i], PORTAL_IO_WRITE, 0, off, model + off, 16384, 0);
		}
		do {
			for (done = i = 0; i < 32; i++)
				done += r[i].done;
			if (done < 1 + n * 7 % 28)
				assert_int_equal(rig_wait(&pi.rig), 0);
		} while (done < 1 + n * 7 % 28);
		ceph_do("osd-kill");
		ceph_do("osd-start");
		assert_int_equal(block_drain(pi.rig.blk), 0);
		for (i = 0; i < 32; i++)
			assert_true(r[i].done && !r[i].err);
	}
	compare(&pi);
	print_message("%u kills of the OSD, %llu writes\n", rounds,
		      (unsigned long long)block_stats(pi.rig.blk)->writes);
	layers_close(&pi);
}

static void an_osd_that_is_away_or_hangs_is_an_error(void **state)
{
	struct portal_instance pi;
	uint64_t start;

	(void)state;
	ceph_need();
	ceph_image("away", 8);
	open_it(&pi, "away", "deadline=1");
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, 512), 0);
	layer_log_lines = 0;
	ceph_do("osd-stop");
	start = now_ms();
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, data, 512), -ETIMEDOUT);
	rig_fill(data, BLOCK, 1);
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, 0, data, BLOCK), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 1800, 10000);
	assert_int_equal(__atomic_load_n(&layer_log_lines, __ATOMIC_RELAXED), 1);
	ceph_do("osd-cont");
	start = now_ms();
	rig_fill(data, BLOCK, 2);
	while (lio(&pi, PORTAL_IO_WRITE, 0, 0, data, BLOCK))
		assert_true(now_ms() - start < 30000);
	ceph_do("osd-kill");
	assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, BLOCK, data, 512), -ETIMEDOUT);
	ceph_do("osd-start");
	start = now_ms();
	while (lio(&pi, PORTAL_IO_READ, 0, 0, back, BLOCK))
		assert_true(now_ms() - start < 60000);
	/* the write that failed has not fallen on the one after it */
	assert_memory_equal(back, data, BLOCK);
	/* nor does the end wait for it */
	ceph_do("osd-stop");
	start = now_ms();
	layers_close(&pi);
	assert_in_range(now_ms() - start, 0, 3000);
	ceph_do("osd-cont");
}

/* A writer in a process of its own: says which blocks were acknowledged. */
static int child_writes(const char *conf, const char *image)
{
	struct portal_instance pi;
	char text[600];
	struct err err;

	ceph_conf = conf;
	snprintf(text, sizeof(text), "rbd conf=%s image=%s", conf, image);
	if (layers_try(&pi, text, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	for (uint32_t i = 0;; i++) {
		rig_fill(data, BLOCK, i);
		if (lio(&pi, PORTAL_IO_WRITE, 0, (uint64_t)(i % 128) * BLOCK, data, BLOCK) ||
		    write(1, &i, sizeof(i)) != sizeof(i))
			return 2;
	}
}

/* Has it until its input ends, and closes it then. */
static int child_holds(const char *conf, const char *image)
{
	struct portal_instance pi;
	char c;

	layers_open(&pi, "rbd conf=%s image=%s", conf, image);
	if (write(1, "x", 1) != 1 || read(0, &c, 1))
		return 1;
	layers_close(&pi);
	return 0;
}

/* exec: librados of this process is nothing for a child. */
static pid_t child_start(const char *how, const char *image, int *in, int *out)
{
	int i[2], o[2];
	pid_t pid;

	assert_int_equal(pipe2(i, O_CLOEXEC), 0);
	assert_int_equal(pipe2(o, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		dup2(i[0], 0);
		dup2(o[1], 1);
		execl("/proc/self/exe", "rbd_test", how, ceph_conf, image, NULL);
		_exit(127);
	}
	close(i[0]);
	close(o[1]);
	*in = i[1];
	*out = o[0];
	return pid;
}

static void child_end(pid_t pid, int out)
{
	int status;

	close(out);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Who comes while the last one is still closing it waits for that. */
static void a_worker_that_ends_is_waited_for(void **state)
{
	struct portal_instance pi;
	int in, out;
	pid_t pid;
	char c;

	(void)state;
	ceph_need();
	ceph_image("next", 8);
	pid = child_start("hold", "next", &in, &out);
	assert_int_equal(read(out, &c, 1), 1);
	refuse("image=next", "is in use: client.");
	close(in);
	open_it(&pi, "next", "");
	layers_close(&pi);
	child_end(pid, out);
}

/* The next worker has the image at once, and all that the dead one was told is there. */
static void a_death_loses_nothing(void **state)
{
	unsigned int acked, stop, round;
	struct portal_instance pi;
	char image[200];
	uint64_t start;
	uint32_t last;
	int in, out;
	pid_t pid;

	(void)state;
	ceph_need();
	ceph_image("dead", 8);
	/* with no more rights than the man page says */
	ceph_do("ceph auth get-or-create client.portal mon profile~rbd osd profile~rbd~pool=rbd "
		"-o %s/portal", ceph_dir);
	snprintf(image, sizeof(image), "dead id=portal keyring=%s/portal", ceph_dir);
	for (round = 0; round < 3; round++) {
		pid = child_start("write", image, &in, &out);
		stop = 40 + (unsigned int)random() % 120;
		for (acked = 0; acked < stop; acked++)
			assert_int_equal(read(out, &last, sizeof(last)), sizeof(last));
		kill(pid, SIGKILL);
		while (read(out, &last, sizeof(last)) == sizeof(last))
			acked++;
		close(in);
		close(out);
		waitpid(pid, NULL, 0);
		start = now_ms();
		open_it(&pi, image, "");
		assert_in_range(now_ms() - start, 0, 8000);
		/* the one that was under way may be there, too, over the oldest */
		for (uint32_t i = acked < 128 ? 0 : acked - 127; i < acked; i++) {
			rig_fill(data, BLOCK, i);
			assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, (uint64_t)(i % 128) * BLOCK,
					     back, BLOCK), 0);
			assert_memory_equal(back, data, BLOCK);
		}
		print_message("open %llu ms after a death\n",
			      (unsigned long long)(now_ms() - start));
		layers_close(&pi);
	}
}

/* ---- a full pool, a sandbox ------------------------------------------------------------ */

static void a_full_pool_is_no_space(void **state)
{
	struct portal_instance pi;
	uint64_t end;
	int err;

	(void)state;
	ceph_need();
	ceph_do("ceph osd pool create small 1");
	ceph_do("rbd create --size 64M small/full");
	ceph_do("ceph osd pool set-quota small max_bytes 4194304");
	open_it(&pi, "full", "pool=small deadline=60");
	rig_fill(data, sizeof(data), 1);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(lio(&pi, PORTAL_IO_WRITE, 0, i << 20, data, 1 << 20), 0);
	ceph_do("pool-full small");
	end = now_ms() + 20000;
	for (uint64_t i = 8; !(err = lio(&pi, PORTAL_IO_WRITE, 0, i << 20, data, 512)); i++)
		assert_true(now_ms() < end && i < 63);
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(lio(&pi, PORTAL_IO_READ, 0, 0, back, 1 << 20), 0);
	assert_memory_equal(back, data, 1 << 20);
	ceph_do("ceph osd pool set-quota small max_bytes 0");
	end = now_ms() + 20000;
	while (lio(&pi, PORTAL_IO_WRITE, 0, 63 << 20, data, 1 << 20))
		assert_true(now_ms() < end);
	layers_close(&pi);
}

static int restricted_ring(struct io_uring *ring)
{
	struct err err;

	return sandbox_ring(ring, 64, SANDBOX_NETWORK, &err);
}

/* As a worker does it; and in the middle of it the OSD goes away and comes back. */
static int child_in_a_sandbox(const char *conf, const char *image)
{
	struct portal_instance pi;
	char text[600], c;
	struct err err;

	rig_make_ring = restricted_ring;
	snprintf(text, sizeof(text), "rbd conf=%s image=%s", conf, image);
	if (layers_try(&pi, text, &err) || sandbox_enter(SANDBOX_NETWORK, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	model = calloc(1, DISK);
	for (unsigned int i = 0; i < 2; i++) {
		random_io(&pi, 60);
		compare(&pi);
		/* the parent kills the OSD, and says when there is another one */
		if (!i && (write(1, "x", 1) != 1 || read(0, &c, 1) != 1))
			return 2;
	}
	if (open("/etc/hostname", O_RDWR) >= 0)
		return 3;
	layers_close(&pi);
	return 0;
}

static void it_works_in_the_sandbox(void **state)
{
	char cmd[128], c;
	int in, out;
	pid_t pid;

	(void)state;
	ceph_need();
	ceph_image("box", 8);
	pid = child_start("sandbox", "box", &in, &out);
	assert_int_equal(read(out, &c, 1), 1);
	/* none of librbd's threads has a capability left */
	snprintf(cmd, sizeof(cmd), "grep -L '^CapEff:.0*$' /proc/%d/task/*/status | grep .",
		 (int)pid);
	assert_int_not_equal(system(cmd), 0);
	snprintf(cmd, sizeof(cmd), "test $(ls /proc/%d/task | wc -l) -gt 5", (int)pid);
	assert_int_equal(system(cmd), 0);
	ceph_do("osd-kill");
	ceph_do("osd-start");
	assert_int_equal(write(in, "x", 1), 1);
	child_end(pid, out);
	close(in);
}

static int setup(void **state)
{
	(void)state;
	model = calloc(1, DISK);
	srandom(5);
	return !model;
}

static int teardown(void **state)
{
	(void)state;
	free(model);
	return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(needs_no_cluster_to_explain),
		T(explains_what_is_wrong),
		T(connecting_takes_no_longer_than_said),
		T(keeps_what_is_written),
		T(a_snapshot_stays_as_it_was),
		T(an_overlay_over_it),
		T(one_writer_and_many_readers),
		T(a_broken_lock_is_an_error),
		T(it_grows_and_shrinks),
		T(a_removed_image_is_an_error),
		T(a_killed_osd_comes_back),
		T(an_osd_that_is_away_or_hangs_is_an_error),
		T(a_worker_that_ends_is_waited_for),
		T(a_death_loses_nothing),
		T(it_works_in_the_sandbox),
		T(a_full_pool_is_no_space),
	};

	if (argc == 4 && !strcmp(argv[1], "write"))
		return child_writes(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "hold"))
		return child_holds(argv[2], argv[3]);
	/* what sanitizers do at the end is not allowed there */
	if (argc == 4)
		_exit(child_in_a_sandbox(argv[2], argv[3]));
	return cmocka_run_group_tests(tests, ceph_start, ceph_stop);
}
