# SPDX-License-Identifier: GPL-2.0-only
#
# make fuzz [FUZZ_SECONDS=60]: virtqueues and virtio-blk under libFuzzer, from the
# kept corpus; the last line is TAP. What it finds new stays in $(B)/fuzz, and
# fuzz-virtio-blk-keep takes it over.

FUZZ_VIRTIO_SRC	:= $(wildcard virtio_*.c virtqueue*.c block*.c) backend.c frontend.c log.c
FUZZ_VIRTIO_CORPUS := tests/fuzz/corpus/virtio_blk
FUZZ_SECONDS	?= 60
FUZZ_VIRTIO_RUN	= $(B)/fuzz/virtio_blk_fuzz -max_len=2048 -len_control=20 -timeout=10

.PHONY: fuzz fuzz-virtio-blk fuzz-virtio-blk-keep
fuzz: fuzz-virtio-blk

$(B)/fuzz/virtio_blk_fuzz: tests/fuzz/virtio_blk_fuzz.c tests/virtio_world.h tests/virtio_fake.h \
		$(FUZZ_VIRTIO_SRC) $(wildcard virtio_*.h virtqueue.h block*.h frontend.h)
	@mkdir -p $(@D)/virtio_blk
	@echo "  FUZZ    $(@F)"
	$(Q)clang $(CPPFLAGS) -std=gnu11 -O1 -g -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -o $@ $< $(FUZZ_VIRTIO_SRC) \
		-luring -lcmocka -lpthread

ifneq ($(shell command -v clang),)
fuzz-virtio-blk: $(B)/fuzz/virtio_blk_fuzz
	$(Q)$(FUZZ_VIRTIO_RUN) -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
		-artifact_prefix=$(B)/fuzz/virtio_blk- $(B)/fuzz/virtio_blk \
		$(FUZZ_VIRTIO_CORPUS) >$(B)/fuzz/virtio_blk.log 2>&1 || { \
		tail -n 40 $(B)/fuzz/virtio_blk.log; echo "not ok 1 - fuzz virtio-blk"; exit 1; }
	@echo "ok 1 - fuzz virtio-blk: $$(sed -n 's/^stat::number_of_executed_units: *//p' \
		$(B)/fuzz/virtio_blk.log) runs in $(FUZZ_SECONDS) s"
else
fuzz-virtio-blk:
	@echo "ok 1 - fuzz virtio-blk # SKIP no clang (Debian: clang)"
endif

fuzz-virtio-blk-keep: $(B)/fuzz/virtio_blk_fuzz
	$(Q)$(FUZZ_VIRTIO_RUN) -set_cover_merge=1 -use_counters=0 $(FUZZ_VIRTIO_CORPUS) \
		$(B)/fuzz/virtio_blk
