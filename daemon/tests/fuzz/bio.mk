# SPDX-License-Identifier: GPL-2.0-only
#
# make fuzz-bio [FUZZ_SECONDS=60], a part of make fuzz: bio's registers under
# libFuzzer, from the kept corpus; the last line is TAP. What it finds new stays
# in $(B)/fuzz, and fuzz-bio-keep takes it over.

FUZZ_BIO_SRC	:= bio.c bio_io.c bio_frontend.c guest_ram.c backend.c config.c log.c \
		   $(wildcard block*.c)
FUZZ_BIO_CORPUS	:= tests/fuzz/corpus/bio
FUZZ_SECONDS	?= 60
FUZZ_BIO_RUN	= $(B)/fuzz/bio_fuzz -max_len=4096 -timeout=10

.PHONY: fuzz fuzz-bio fuzz-bio-keep
fuzz: fuzz-bio

$(B)/fuzz/bio_fuzz: tests/fuzz/bio_fuzz.c tests/bio_world.h tests/virtio_fake.h $(FUZZ_BIO_SRC) \
		$(wildcard bio*.h block*.h frontend.h)
	@mkdir -p $(@D)/bio
	@echo "  FUZZ    $(@F)"
	$(Q)clang $(CPPFLAGS) -std=gnu11 -O1 -g -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -o $@ $< $(FUZZ_BIO_SRC) \
		-luring -linih -lcmocka -lpthread

ifneq ($(shell command -v clang),)
fuzz-bio: $(B)/fuzz/bio_fuzz
	$(Q)$(FUZZ_BIO_RUN) -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
		-artifact_prefix=$(B)/fuzz/bio- $(B)/fuzz/bio $(FUZZ_BIO_CORPUS) \
		>$(B)/fuzz/bio.log 2>&1 || { \
		tail -n 40 $(B)/fuzz/bio.log; echo "not ok 1 - fuzz bio"; exit 1; }
	@echo "ok 1 - fuzz bio: $$(sed -n 's/^stat::number_of_executed_units: *//p' \
		$(B)/fuzz/bio.log) runs in $(FUZZ_SECONDS) s"
else
fuzz-bio:
	@echo "ok 1 - fuzz bio # SKIP no clang (Debian: clang)"
endif

fuzz-bio-keep: $(B)/fuzz/bio_fuzz
	$(Q)$(FUZZ_BIO_RUN) -merge=1 -use_counters=0 $(FUZZ_BIO_CORPUS) $(B)/fuzz/bio
