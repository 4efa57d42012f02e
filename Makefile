# SPDX-License-Identifier: GPL-2.0-only
# portal: the people's entry

VERSION := $(shell cat VERSION)
KVER ?= $(shell uname -r)
KDIR ?= $(firstword $(wildcard /lib/modules/$(KVER)/build /usr/src/linux-headers-$(KVER) \
	$(O)/rig/*/root/lib/modules/$(KVER)/build))
O ?= build
O := $(abspath $(O))
V ?= 0
PREFIX ?= /usr
DESTDIR ?=
INSTALL_MOD_DIR ?= updates
export O V PREFIX DESTDIR
Q := $(if $(filter 0,$(V)),@)
MAKEFLAGS += --no-print-directory

.DELETE_ON_ERROR:
.PHONY: help all module guest test-modules guest-programs lib daemon selftests install \
	module_install guest_install check check-static check-unit check-kernel check-debug \
	check-long check-flavours debug-kernel demo demo-host bench deps clean

all: lib daemon		## the library, portald and portalctl (make module: the kernel's part)

help:			## this text
	@sed -n 's/^\([a-z_-]*\):[^#]*## /  \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20
	@echo "Variables: KVER (kernel to build for), O (build tree), V=1, PREFIX, DESTDIR"

# Kernel objects are built in a copy, one per kernel: several kernels and the
# mock build stand side by side, and the sources stay clean.
kmod = $(O)/kmod/$(KVER)$(if $(PORTAL_MOCK),-mock)
kbuild = $(MAKE) -C $(KDIR) O= M=$(1) PORTAL_VERSION=$(VERSION) $(if $(PORTAL_MOCK),PORTAL_MOCK=y) \
	CONFIG_MODULE_SIG_ALL= V=$(V) $(KBUILD_EXTRA)
need_kdir = @test -n "$(KDIR)" || { echo "No headers of kernel $(KVER). Install" \
	"linux-headers-$(KVER), or name another kernel: make $@ KVER=..." >&2; exit 1; }

module:			## portal.ko for KVER; PORTAL_MOCK=y: with the mock guest
	$(need_kdir)
	@mkdir -p $(kmod)
	@cp -ru Kbuild module uapi $(kmod)/
	$(Q)$(call kbuild,$(kmod)) modules

guest:			## portal_guest.ko for KVER
	$(need_kdir)
	@mkdir -p $(O)/kmod/$(KVER)-guest/module
	@cp -ru uapi $(O)/kmod/$(KVER)-guest/
	@cp -ru module/guest $(O)/kmod/$(KVER)-guest/module/
	$(Q)$(call kbuild,$(O)/kmod/$(KVER)-guest/module/guest) modules

test-modules:		## what the kernel tests load beside portal.ko
	$(need_kdir)
	@mkdir -p $(O)/kmod/$(KVER)-test
	@cp -u selftests/livepatch/* $(O)/kmod/$(KVER)-test/
	$(call kbuild,$(O)/kmod/$(KVER)-test) modules

guest-programs:		## programs for the guest (portal-call)
	$(Q)$(MAKE) -C selftests/guest O=$(O)/guest

lib:			## libkvmportal
	$(Q)$(MAKE) -C libportal all

daemon: lib		## portald, portalctl and the plugins
	$(Q)$(MAKE) -C daemon all

selftests:		## the tests' programs
	$(Q)$(MAKE) -C selftests O=$(O)

install: all		## library, daemon, headers, man pages, units (DESTDIR, PREFIX)
	$(Q)$(MAKE) -C libportal install
	$(Q)$(MAKE) -C daemon install
	@test -n "$(DESTDIR)" || ldconfig

guest_install: guest	## portal_guest.ko into /lib/modules/KVER/updates
	$(Q)$(call kbuild,$(O)/kmod/$(KVER)-guest/module/guest) INSTALL_MOD_PATH=$(DESTDIR) \
		INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) modules_install

module_install: module	## portal.ko into /lib/modules/KVER/updates
	$(Q)$(call kbuild,$(kmod)) INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) \
		modules_install

deps:			## install what building and testing need
	@selftests/rig/deps.sh build rig check libkvm

check:			## all tests, on both kernels, in the rig
	@selftests/check.sh

check-debug:		## the kernel tests on a kernel with KASAN, lockdep, kmemleak, ...
	@selftests/check.sh debug

check-long:		## 1000 deaths and long fuzzing, on both kernels
	@selftests/check.sh long

check-flavours:		## the mock's tests on the cloud and rt kernels
	@selftests/check.sh flavours

debug-kernel:		## build that kernel from Debian's source; once
	@selftests/rig/deps.sh debug
	@selftests/rig/debug-kernel.sh

check-static check-unit check-kernel:	## one part of it
	@selftests/check.sh $(@:check-%=%)

demo:			## the main job, shown in the rig
	@selftests/demo/demo.sh

demo-host:		## the same on this machine's kernel, after asking
	@selftests/demo/demo.sh --host

bench:			## costs as ratios, in the rig
	@selftests/perf/bench.sh

clean:			## remove the build tree
	rm -rf $(O)
