// SPDX-License-Identifier: GPL-2.0-only
/*
 * bio_test - a bare-metal guest and portald's disks for such guests
 *
 * The guest has no system at all: it drives bio as the FORTH driver of the seed
 * does, on MMIO and on ports, and calls the blk service.
 */
#include "portald.h"
#include "../../daemon/bio_regs.h"

#define PORT		0x8400
#define GSI_MMIO	5
#define GSI_PIO		6
#define BLK_SLOT	2
#define BLOCK		1024
#define BUF_GVA		0xc8000000ULL	/* 8 pages, contiguous in the guest */
#define BUF_PAGES	8
#define SPINS		10000000
#define ROUNDS		6

/* Set by the host before the guest runs. */
static bool on_ports;
static __u64 buf_gpa;
/* Counted by the guest. */
static __u32 irqs, rounds;

/* ---- in the guest: the registers ------------------------------------------- */

static void put(__u32 reg, __u32 value)
{
	if (on_ports)
		asm volatile("outl %0, %1" : : "a"(value), "d"((__u16)(PORT + reg)) : "memory");
	else
		guest_writel(MMIO_GPA + reg, value);
}

static __u32 get(__u32 reg)
{
	__u32 value;

	if (!on_ports)
		return guest_readl(MMIO_GPA + reg);
	asm volatile("inl %1, %0" : "=a"(value) : "d"((__u16)(PORT + reg)) : "memory");
	return value;
}

static int wait_ready(void)
{
	for (int i = 0; i < SPINS; i++) {
		__u32 status = get(BIO_STATUS);

		if (status & (BIO_RDY | BIO_ERR) && !(status & BIO_BUSY))
			return status & BIO_ERR ? -6 : 0;
	}
	return -100;
}

/* forth/words/block.c: ERR is looked at after each register. */
static int forth(__u32 block, __u32 count, __u64 addr, __u32 op)
{
	put(BIO_STATUS, BIO_SRST);
	if (get(BIO_STATUS) & BIO_ERR)
		return -1;
	put(BIO_SID, 0);
	if (get(BIO_STATUS) & BIO_ERR)
		return -2;
	put(BIO_BLOCK, block);
	if (get(BIO_STATUS) & BIO_ERR)
		return -3;
	put(BIO_COUNT, count);
	if (get(BIO_STATUS) & BIO_ERR)
		return -4;
	put(BIO_ADDR, addr);
	if (get(BIO_STATUS) & BIO_ERR)
		return -5;
	put(BIO_STATUS, op);
	return wait_ready();
}

static __u32 *words(int block)
{
	return (__u32 *)(BUF_GVA + block * BLOCK);
}

static void fill(int block, int nr, __u32 seed)
{
	for (int i = 0; i < nr * BLOCK / 4; i++)
		words(block)[i] = seed + i * 0x9e3779b1U;
}

static int differ(int a, int b, int nr)
{
	int bad = 0;

	for (int i = 0; i < nr * BLOCK / 4; i++)
		bad += words(a)[i] != words(b)[i];
	return bad;
}

static void data_out(int block)
{
	for (int i = 0; i < BLOCK / 4; i++)
		put(BIO_DATA, words(block)[i]);
}

static void data_in(int block)
{
	for (int i = 0; i < BLOCK / 4; i++)
		words(block)[i] = get(BIO_DATA);
}

/* ---- in the guest: programs -------------------------------------------------- */

static void guest_dma(void)
{
	guest_report(get(BIO_ID));
	fill(0, 4, 1);
	guest_report(forth(10, 4, buf_gpa, BIO_DMA | BIO_WRITE));
	guest_report(forth(10, 4, buf_gpa + 8 * BLOCK, BIO_DMA | BIO_READ));
	guest_report(differ(0, 8, 4));
	GUEST_DONE();
}

static void guest_pio(void)
{
	fill(0, 1, 2);
	guest_report(forth(20, 1, 0, BIO_WRITE));
	guest_report(get(BIO_REMAIN));
	data_out(0);
	guest_report(wait_ready());
	guest_report(forth(20, 1, 0, BIO_READ));
	data_in(1);
	guest_report(differ(0, 1, 1));
	guest_report(get(BIO_STATUS));
	guest_report(get(BIO_DATA));
	guest_report(get(BIO_STATUS));
	GUEST_DONE();
}

static void guest_errors(void)
{
	put(BIO_STATUS, BIO_SRST);
	guest_report(get(BIO_STATUS));
	put(BIO_SID, 77);
	guest_report(get(BIO_STATUS));
	put(BIO_SID, 0);
	guest_report(get(BIO_STATUS));
	guest_report(get(BIO_CAPACITY));
	guest_report(forth(get(BIO_CAPACITY), 1, buf_gpa, BIO_DMA | BIO_READ));
	guest_report(get(BIO_STATUS));
	/* the registers themselves are no RAM; nor is what is nowhere */
	guest_report(forth(0, 1, MMIO_GPA, BIO_DMA | BIO_READ));
	guest_report(get(BIO_ERROR));
	guest_report(forth(0, 1, 0xa0000000, BIO_DMA | BIO_WRITE));
	guest_report(get(BIO_ERROR));
	/* the other storage: empty, writable */
	put(BIO_SID, 1);
	guest_report(get(BIO_STATUS));
	guest_report(get(BIO_CAPACITY));
	GUEST_DONE();
}

static void on_irq(struct ex_regs *regs)
{
	irqs++;
	guest_eoi();
}

/* Sleeps until the command's interrupt; the status is there before it. */
static void guest_interrupts(void)
{
	fill(0, 2, 3);
	put(BIO_STATUS, BIO_SRST);
	put(BIO_SID, 0);
	put(BIO_BLOCK, 30);
	put(BIO_COUNT, 2);
	guest_irq_on(on_ports ? GSI_PIO : GSI_MMIO, false);
	for (__u32 i = 1; i <= 4; i++) {
		put(BIO_ADDR, buf_gpa + (i % 2 ? 0 : 8 * BLOCK));
		asm volatile("cli");
		put(BIO_STATUS, BIO_DMA | (i % 2 ? BIO_WRITE : BIO_READ));
		while (irqs < i)
			asm volatile("sti; hlt; cli" : : : "memory");
		asm volatile("sti");
		guest_report(get(BIO_STATUS));
	}
	guest_report(differ(0, 8, 2));
	guest_report(irqs);
	GUEST_DONE();
}

/* Words in and out, while the host kills who takes and gives them. */
static void guest_rounds(void)
{
	for (__u32 i = 0; i < ROUNDS; i++) {
		fill(0, 1, 100 + i);
		guest_report(forth(40 + i, 1, 0, BIO_WRITE));
		data_out(0);
		guest_report(wait_ready());
		guest_report(forth(40 + i, 1, 0, BIO_READ));
		data_in(1);
		guest_report(differ(0, 1, 1));
		__atomic_add_fetch(&rounds, 1, __ATOMIC_SEQ_CST);
	}
	GUEST_DONE();
}

static __u64 blk(__u32 fn, __u64 storage, __u64 sector, __u64 count, __u64 gpa)
{
	static __u32 id;

	return guest_hc(PORTAL_HC_SERVICE(BLK_SLOT) + fn, ++id, storage, sector, count, gpa);
}

static void guest_blk(void)
{
	guest_hello();
	guest_report(blk(PORTAL_BLK_INFO, 0, PORTAL_BLK_SECTORS, 0, 0));
	guest_report(blk(PORTAL_BLK_INFO, 0, PORTAL_BLK_SECTOR, 0, 0));
	fill(0, 2, 5);
	guest_report(blk(PORTAL_BLK_WRITE, 0, 7, 4, buf_gpa));
	guest_report(blk(PORTAL_BLK_FLUSH, 0, 0, 0, 0));
	guest_report(blk(PORTAL_BLK_READ, 0, 7, 4, buf_gpa + 8 * BLOCK));
	guest_report(differ(0, 8, 2));
	guest_report(blk(PORTAL_BLK_READ, 0, 7, 4, MMIO_GPA));
	guest_report(blk(PORTAL_BLK_READ, 0, 1 << 20, 1, buf_gpa));
	/* HELLO puts the bus to rest, but not what the host has placed */
	guest_report(get(BIO_STATUS));
	GUEST_DONE();
}

/* ---- on the host ----------------------------------------------------------------- */

FIXTURE(bio)
{
	struct guest g;
	struct portald d;
};

FIXTURE_VARIANT(bio)
{
	bool on_ports;
};

FIXTURE_VARIANT_ADD(bio, mmio) { .on_ports = false, };
FIXTURE_VARIANT_ADD(bio, ports) { .on_ports = true, };

static int make_image(const struct portald *d, const char *name, size_t len)
{
	FILE *f = portald_file(d, name, "w");
	int ret = f ? ftruncate(fileno(f), len) : -1;

	if (f)
		fclose(f);
	return ret;
}

static int make_conf(const struct portald *d)
{
	FILE *f = portald_file(d, "conf", "w");

	if (!f)
		return -errno;
	fprintf(f,
		"[portald]\nkeep = 0\n"
		"[instance mmio0]\nfrontend = bio\nplugin = file\npath = %s/mmio.img\n"
		"address = 0x%llx\nirq = %d\nsid1.plugin = memory\nsid1.size = 64k\n"
		"[instance pio0]\nfrontend = bio\nplugin = file\npath = %s/pio.img\n"
		"bus = pio\naddress = 0x%x\nirq = %d\nsid1.plugin = memory\nsid1.size = 64k\n"
		"[instance blk0]\nfrontend = blk\nplugin = memory\nsize = 1M\n",
		d->dir, MMIO_GPA, GSI_MMIO, d->dir, PORT, GSI_PIO);
	fclose(f);
	return make_image(d, "mmio.img", 256 * BLOCK) ?: make_image(d, "pio.img", 256 * BLOCK);
}

FIXTURE_SETUP(bio)
{
	int ret;

	/* before there is anything to clean up */
	close(guest_need(_metadata));
	ret = portald_init(&self->d);
	if (ret == -ENOENT)
		SKIP(_exit(HARNESS_SKIP), "portald is not built");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, make_conf(&self->d));
	ASSERT_EQ(0, portald_start(&self->d));
}

FIXTURE_TEARDOWN(bio)
{
	if (_metadata->passed == 0) {
		portald_show(&self->d, "log");
		portald_show(&self->d, "ctl");
	}
	guest_end(&self->g);
	portald_end(&self->d);
}

/* A guest with its buffer, attached, under way. */
static int start(struct __test_metadata *_metadata, FIXTURE_DATA(bio) *self, bool ports,
		 void *code)
{
	struct guest *g = &self->g;

	guest_init(_metadata, g, code);
	buf_gpa = vm_phy_pages_alloc(g->vm, BUF_PAGES, 0x100000, 0);
	virt_map(g->vm, BUF_GVA, buf_gpa, BUF_PAGES);
	on_ports = ports;
	sync_global_to_guest(g->vm, buf_gpa);
	sync_global_to_guest(g->vm, on_ports);
	vm_install_exception_handler(g->vm, IRQ_VECTOR, on_irq);
	if (portald_attach(&self->d, g))
		return -EIO;
	return guest_start(g);
}

#define REPORTS(...) do {							\
	const __u64 want[] = { __VA_ARGS__ };					\
										\
	ASSERT_EQ(0, guest_join(g));						\
	ASSERT_EQ(ARRAY_SIZE(want), g->nr);					\
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {				\
		EXPECT_EQ(want[i], g->value[i])					\
			TH_LOG("report %zu", i);				\
	}									\
} while (0)

TEST_F(bio, the_forth_driver_moves_blocks_by_dma)
{
	struct guest *g = &self->g;
	const char *name = variant->on_ports ? "pio.img" : "mmio.img";
	__u32 word[2];
	FILE *f;

	ASSERT_EQ(0, start(_metadata, self, variant->on_ports, guest_dma));
	REPORTS(BIO_ID_VALUE, 0, 0, 0);
	/* and they are on the image */
	f = portald_file(&self->d, name, "r");
	ASSERT_NE(NULL, f);
	ASSERT_EQ(0, fseek(f, 10 * BLOCK, SEEK_SET));
	ASSERT_EQ(2, fread(word, 4, 2, f));
	EXPECT_EQ(1, word[0]);
	EXPECT_EQ(1 + 0x9e3779b1U, word[1]);
	fclose(f);
}

TEST_F(bio, words_go_through_data)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, start(_metadata, self, variant->on_ports, guest_pio));
	REPORTS(0, BLOCK, 0, 0, 0, BIO_RDY, 0xffffffff, BIO_ERR);
}

TEST_F(bio, mistakes_are_errors_and_no_more)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, start(_metadata, self, variant->on_ports, guest_errors));
	REPORTS(BIO_RDY, BIO_ERR, BIO_RDY, 256, -6, BIO_ERR, -6, BIO_E_ADDR, -6, BIO_E_ADDR,
		BIO_RDY, 64);
}

TEST_F(bio, each_command_wakes_an_idle_guest)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, start(_metadata, self, variant->on_ports, guest_interrupts));
	REPORTS(BIO_RDY, BIO_RDY, BIO_RDY, BIO_RDY, 0, 4);
}

TEST_F(bio, the_workers_death_loses_no_word)
{
	const char *name = variant->on_ports ? "pio0" : "mmio0";
	struct guest *g = &self->g;
	pid_t pid, old = 0;

	ASSERT_EQ(0, start(_metadata, self, variant->on_ports, guest_rounds));
	for (__u32 i = 1; i <= 2; i++) {
		ASSERT_TRUE(WAIT_UNTIL(SHARED(g, rounds) >= i || guest_ended(g)));
		ASSERT_TRUE(WAIT_UNTIL((pid = portald_worker(&self->d, name)) && pid != old));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		old = pid;
	}
	ASSERT_EQ(0, guest_join(g));
	ASSERT_EQ(4 * ROUNDS, g->nr);
	for (int i = 0; i < g->nr; i++) {
		EXPECT_EQ(0, g->value[i])
			TH_LOG("report %d", i);
	}
}

TEST_F(bio, sectors_go_by_hypercalls)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, start(_metadata, self, variant->on_ports, guest_blk));
	REPORTS(2048, 512, 2048, 0, 2048, 0, -PORTAL_EINVAL, -PORTAL_EINVAL, BIO_RDY);
}

TEST_HARNESS_MAIN
