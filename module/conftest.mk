# SPDX-License-Identifier: GPL-2.0-only
#
# Ask the compiler what this kernel has: conftest/foo.c compiles -> -DHAVE_FOO.
# For inclusion by Kbuild: include $(src)/module/conftest.mk
#
# Only in Makefile.build are the kernel's flags complete ("make clean" reads
# Kbuild too). All tests run at once, about as long as compiling one file.

ifneq ($(filter %/Makefile.build,$(MAKEFILE_LIST)),)

portal-conftest := $(shell \
	for f in $(src)/module/conftest/*.c; do ( \
		if $(CC) $(NOSTDINC_FLAGS) $(LINUXINCLUDE) $(KBUILD_CPPFLAGS) \
			$(KBUILD_CFLAGS) -DMODULE -D'KBUILD_MODNAME="conftest"' \
			-Wno-error -Werror=implicit-function-declaration \
			-fsyntax-only $$f >/dev/null 2>&1; \
		then basename $$f .c | tr a-z A-Z; fi ) & \
	done; wait)

ifeq ($(filter SANE,$(portal-conftest)),)
$(error portal: $(src)/module/conftest/sane.c does not compile, so no test can be trusted)
endif

ccflags-y += $(sort $(patsubst %,-DHAVE_%,$(filter-out SANE,$(portal-conftest))))

endif
