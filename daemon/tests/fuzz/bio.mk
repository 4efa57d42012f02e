# SPDX-License-Identifier: GPL-2.0-only
#
# make fuzz-bio [SECONDS=60]: bio's registers under libFuzzer, from the kept
# corpus. What it finds new stays in $(B)/fuzz; fuzz-bio-keep takes it over.

FUZZ_BIO_SRC	:= bio.c bio_io.c bio_frontend.c guest_ram.c backend.c config.c log.c \
		   $(wildcard block*.c)
FUZZ_BIO_CORPUS	:= tests/fuzz/corpus/bio
SECONDS		?= 60

.PHONY: fuzz-bio fuzz-bio-keep
$(B)/fuzz/bio_fuzz: tests/fuzz/bio_fuzz.c tests/bio_world.h tests/virtio_fake.h $(FUZZ_BIO_SRC) \
		$(wildcard bio*.h block*.h)
	@mkdir -p $(@D)/bio $(@D)/bio-artifacts
	@echo "  FUZZ    $(@F)"
	$(Q)clang $(CPPFLAGS) -std=gnu11 -O1 -g -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -o $@ $< $(FUZZ_BIO_SRC) \
		-luring -linih -lcmocka -lpthread

fuzz-bio: $(B)/fuzz/bio_fuzz
	$(Q)$< -max_total_time=$(SECONDS) -max_len=4096 -timeout=10 -print_final_stats=1 \
		-artifact_prefix=$(B)/fuzz/bio-artifacts/ $(B)/fuzz/bio $(FUZZ_BIO_CORPUS)

fuzz-bio-keep: $(B)/fuzz/bio_fuzz
	@mkdir -p $(FUZZ_BIO_CORPUS)
	$(Q)$< -merge=1 -use_counters=0 -max_len=4096 $(FUZZ_BIO_CORPUS) $(B)/fuzz/bio
