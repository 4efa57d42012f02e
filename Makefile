# SPDX-License-Identifier: GPL-2.0-only
# portal: the people's entry. "make help" lists what there is.

VERSION := $(shell cat VERSION)
KVER ?= $(shell uname -r)
KDIR ?= $(firstword $(wildcard /lib/modules/$(KVER)/build /usr/src/linux-headers-$(KVER)))
O ?= build
O := $(abspath $(O))
V ?= 0
PREFIX ?= /usr
DESTDIR ?=
INSTALL_MOD_DIR ?= updates
export O V PREFIX DESTDIR

.DELETE_ON_ERROR:
.PHONY: all module guest lib daemon install

all: lib daemon

# Kernel objects are built in a copy, one per kernel: several kernels and the
# mock build stand side by side, and the sources stay clean.
kmod = $(O)/kmod/$(KVER)$(if $(PORTAL_MOCK),-mock)
kbuild = $(MAKE) -C $(KDIR) M=$(1) PORTAL_VERSION=$(VERSION) $(if $(PORTAL_MOCK),PORTAL_MOCK=y) \
	CONFIG_MODULE_SIG_ALL= V=$(V) $(KBUILD_EXTRA)

module:
	@test -n "$(KDIR)" || { echo "No headers for kernel $(KVER): apt install linux-headers-$(KVER)," \
		"or name another kernel by KVER="; exit 1; }
	@mkdir -p $(kmod)
	@cp -ru Kbuild module uapi $(kmod)/
	$(call kbuild,$(kmod)) modules

guest:
	@test -n "$(KDIR)" || { echo "No headers for kernel $(KVER)"; exit 1; }
	@mkdir -p $(kmod)-guest/module
	@cp -ru uapi $(kmod)-guest/
	@cp -ru module/guest $(kmod)-guest/module/
	$(MAKE) -C $(KDIR) M=$(kmod)-guest/module/guest CONFIG_MODULE_SIG_ALL= V=$(V) $(KBUILD_EXTRA) modules

lib:
	$(MAKE) -C libportal all

daemon: lib
	$(MAKE) -C daemon all
