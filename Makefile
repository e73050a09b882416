# SPDX-License-Identifier: Apache-2.0
#
# make            build the commands and the library into $(BUILD)
# make demo       install what it needs, build, and attach, mount, use and detach an image
# make check      install what it needs, build, and run every test of CI
# make help       the other targets

VERSION = 0.1.0
SOVERSION = 0

BUILD ?= build
export CACHE ?= $(CURDIR)/build/cache
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
DOCDIR ?= $(PREFIX)/share/doc/nbd-tools
RUNDIR ?= /run/nbd-tools

PKG_CONFIG ?= pkg-config
# udev and systemd look in no folder of ours, whatever PREFIX is.
path_of = $(or $(shell $(PKG_CONFIG) --variable=$(1) $(2) 2>/dev/null),$(3))
UDEVDIR ?= $(call path_of,udevdir,udev,/lib/udev)
UNITDIR ?= $(call path_of,systemdsystemunitdir,systemd,/lib/systemd/system)
GENERATORDIR ?= $(call path_of,systemdsystemgeneratordir,systemd,/lib/systemd/system-generators)
TMPFILESDIR ?= $(call path_of,tmpfilesdir,systemd,/usr/lib/tmpfiles.d)

CC ?= cc
INSTALL ?= install
CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wformat=2 -Wundef -Wvla -Werror
HARDENING = -D_FORTIFY_SOURCE=2 -fstack-protector-strong
LIB_PACKAGES = libnl-genl-3.0 liburiparser json-c mount libudev gnutls
CMD_PACKAGES = smartcols

# SANITIZE=address,undefined builds with those sanitizers; fortification would hide from them.
NO_UNDEFINED = -Wl,-z,defs
ifdef SANITIZE
# The sanitizers' own symbols come with the program.
NO_UNDEFINED =
HARDENING = -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

override CPPFLAGS += -D_GNU_SOURCE -DNBDT_VERSION='"$(VERSION)"' -DNBDT_RUN_DIR='"$(RUNDIR)"' \
	-Ilib -Inetlink
override CFLAGS += -std=gnu11 -fPIC -pthread $(WARNINGS) $(HARDENING) \
	$(shell $(PKG_CONFIG) --cflags $(LIB_PACKAGES) $(CMD_PACKAGES) 2>/dev/null)
LIB_LIBS = $(shell $(PKG_CONFIG) --libs $(LIB_PACKAGES))
CMD_LIBS = $(shell $(PKG_CONFIG) --libs $(CMD_PACKAGES))

COMMANDS = $(basename $(notdir $(wildcard cmd/nbd-*.c)))
LIB_OBJECTS = $(patsubst %.c,$(BUILD)/%.o,$(wildcard lib/*.c netlink/*.c))
CMD_SHARED = $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(wildcard cmd/nbd-*.c),$(wildcard cmd/*.c)))
UDEV_PROGRAMS = $(basename $(notdir $(wildcard udev/nbd-*.c)))
UDEV_SHARED = $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(wildcard udev/nbd-*.c),$(wildcard udev/*.c)))
UDEV_FILES = $(patsubst %.in,$(BUILD)/%,$(wildcard udev/*.in))
UNIT_TESTS = $(basename $(notdir $(wildcard tests/unit/test-*.c)))
UNIT_SHARED = $(patsubst %.c,$(BUILD)/%.o,\
	$(filter-out $(wildcard tests/unit/test-*.c),$(wildcard tests/unit/*.c)))
FUZZ_TARGETS = $(basename $(notdir $(wildcard tests/fuzz/fuzz-*.c)))
FUZZ_SHARED = $(patsubst %.c,$(BUILD)/%.o,\
	$(filter-out $(wildcard tests/fuzz/fuzz-*.c),$(wildcard tests/fuzz/*.c)))
INTEROP_PROGRAMS = $(basename $(notdir $(wildcard tests/interop/*.c)))
HEADERS = lib/nbdtools.h netlink/nbdtools-kernel.h

# V=1 shows the commands.
Q = $(if $(V),,@)
say = @echo "  $(1) $@"

STATIC_LIB = $(BUILD)/libnbdtools.a
SHARED_LIB = $(BUILD)/libnbdtools.so.$(SOVERSION)

.PHONY: all
all: $(addprefix $(BUILD)/bin/,$(COMMANDS)) $(STATIC_LIB) $(SHARED_LIB) $(BUILD)/nbdtools.pc \
	$(addprefix $(BUILD)/udev/,$(UDEV_PROGRAMS)) $(UDEV_FILES)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(STATIC_LIB): $(LIB_OBJECTS)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

$(SHARED_LIB): $(LIB_OBJECTS) lib/libnbdtools.map
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(@F) -Wl,--version-script=lib/libnbdtools.map \
		$(NO_UNDEFINED) -o $@ $(LIB_OBJECTS) $(LIB_LIBS)

# An archive, so that each command gets only the parts that it uses.
$(BUILD)/cmd/shared.a: $(CMD_SHARED)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

$(addprefix $(BUILD)/bin/,$(COMMANDS)): $(BUILD)/bin/%: $(BUILD)/cmd/%.o $(BUILD)/cmd/shared.a $(STATIC_LIB)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CMD_LIBS) $(LIB_LIBS)

$(BUILD)/udev/shared.a: $(UDEV_SHARED)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

$(addprefix $(BUILD)/udev/,$(UDEV_PROGRAMS)): $(BUILD)/udev/%: $(BUILD)/udev/%.o $(BUILD)/udev/shared.a $(STATIC_LIB)
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LIBS)

$(BUILD)/tests/unit/%.o: override CPPFLAGS += -Iudev
$(addprefix $(BUILD)/unit/,$(UNIT_TESTS)): $(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(UNIT_SHARED) \
		$(BUILD)/udev/shared.a $(STATIC_LIB)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LIBS) -lcmocka

$(addprefix $(BUILD)/interop/,$(INTEROP_PROGRAMS)): $(BUILD)/interop/%: $(BUILD)/tests/interop/%.o $(STATIC_LIB)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LIBS)

# Only with clang and SANITIZE=fuzzer-no-link,…, as "make fuzz" has them.
$(addprefix $(BUILD)/fuzz/,$(FUZZ_TARGETS)): $(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(FUZZ_SHARED) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIB_LIBS)

.PHONY: unit-programs interop-programs fuzz-programs
unit-programs: $(addprefix $(BUILD)/unit/,$(UNIT_TESTS))
interop-programs: all $(addprefix $(BUILD)/interop/,$(INTEROP_PROGRAMS))
fuzz-programs: $(addprefix $(BUILD)/fuzz/,$(FUZZ_TARGETS))

# Made anew each time: PREFIX may be another than at the last build.
.PHONY: $(BUILD)/nbdtools.pc
$(BUILD)/nbdtools.pc:
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' \
		'Name: nbdtools' 'Description: NBD client, server and Linux attachment' \
		'Version: $(VERSION)' 'Requires.private: $(LIB_PACKAGES)' \
		'Libs: -L$${libdir} -lnbdtools' 'Libs.private: -pthread' \
		'Cflags: -I$${includedir}' > $@

# So are these, and the generator if its paths have changed.
.PHONY: $(UDEV_FILES)
$(UDEV_FILES): $(BUILD)/%: %.in
	@mkdir -p $(@D)
	@sed -e 's,@SBINDIR@,$(SBINDIR),g' -e 's,@UDEVDIR@,$(UDEVDIR),g' -e 's,@RUNDIR@,$(RUNDIR),g' $< > $@

GENERATOR_PATHS = -DSBINDIR='"$(SBINDIR)"' -DUNITDIR='"$(UNITDIR)"'
.PHONY: generator-paths
$(BUILD)/udev/generator-paths: generator-paths
	@mkdir -p $(@D)
	@printf '%s\n' $(GENERATOR_PATHS) | cmp -s - $@ || printf '%s\n' $(GENERATOR_PATHS) > $@
$(BUILD)/udev/nbd-tools-generator.o: $(BUILD)/udev/generator-paths
$(BUILD)/udev/nbd-tools-generator.o: override CPPFLAGS += $(GENERATOR_PATHS)

.PHONY: install install-udev
install: all install-udev
	$(INSTALL) -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) \
		$(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(COMPLETIONDIR)
	$(INSTALL) -m 0755 $(addprefix $(BUILD)/bin/,$(COMMANDS)) $(DESTDIR)$(SBINDIR)
	$(INSTALL) -m 0644 $(HEADERS) $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -m 0644 $(STATIC_LIB) $(DESTDIR)$(LIBDIR)
	$(INSTALL) -m 0755 $(SHARED_LIB) $(DESTDIR)$(LIBDIR)
	ln -sf $(notdir $(SHARED_LIB)) $(DESTDIR)$(LIBDIR)/libnbdtools.so
	$(INSTALL) -m 0644 $(BUILD)/nbdtools.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	$(INSTALL) -m 0644 $(wildcard cmd/*.8) $(DESTDIR)$(MANDIR)/man8
	$(INSTALL) -m 0644 $(wildcard lib/*.5) $(DESTDIR)$(MANDIR)/man5
	for command in $(COMMANDS); do \
		$(INSTALL) -m 0644 cmd/completion.bash $(DESTDIR)$(COMPLETIONDIR)/$$command || exit 1; \
	done

install-udev: all
	$(INSTALL) -d $(DESTDIR)$(UDEVDIR)/rules.d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(GENERATORDIR) \
		$(DESTDIR)$(TMPFILESDIR) $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(DOCDIR)/examples
	$(INSTALL) -m 0755 $(BUILD)/udev/nbd-udev $(DESTDIR)$(UDEVDIR)
	$(INSTALL) -m 0644 $(filter %.rules,$(UDEV_FILES)) $(DESTDIR)$(UDEVDIR)/rules.d
	$(INSTALL) -m 0644 $(filter %.service,$(UDEV_FILES)) $(wildcard udev/*.target) $(DESTDIR)$(UNITDIR)
	$(INSTALL) -m 0755 $(BUILD)/udev/nbd-tools-generator $(DESTDIR)$(GENERATORDIR)
	$(INSTALL) -m 0644 $(BUILD)/udev/nbd-tools.tmpfiles $(DESTDIR)$(TMPFILESDIR)/nbd-tools.conf
	$(INSTALL) -m 0644 udev/modprobe.conf $(DESTDIR)$(DOCDIR)/examples
	$(INSTALL) -m 0644 $(wildcard udev/*.7) $(DESTDIR)$(MANDIR)/man7

# Tests. TEST names one test, or several: make vm TEST=disconnect-refuses-mounted

.PHONY: deps-build deps-demo deps-check
deps-build:
	tests/install-packages build
deps-demo:
	tests/install-packages build demo
deps-check:
	tests/install-packages build demo check

.PHONY: demo
demo: deps-demo
	$(MAKE) all
	tests/demo

.PHONY: check check-long
check: deps-check
	tests/check
check-long: deps-check
	tests/check --long

.PHONY: unit interop vm fuzz bench lint
unit: unit-programs
	BUILD=$(BUILD) tests/unit/run $(TEST)
interop: interop-programs
	BUILD=$(BUILD) tests/interop/run $(TEST)
vm: all
	BUILD=$(BUILD) tests/vm/run $(TEST)
fuzz: deps-check
	$(MAKE) CC=clang SANITIZE=fuzzer-no-link,address,undefined BUILD=$(BUILD)/fuzz fuzz-programs
	BUILD=$(BUILD)/fuzz tests/fuzz/run $(TEST)
bench: deps-check
	$(MAKE) all
	BUILD=$(BUILD) tests/bench/serve
	BUILD=$(BUILD) tests/bench/run
lint:
	tests/lint

# What a variable is here: make print-UNITDIR
print-%:
	@echo '$($*)'

.PHONY: clean distclean help
clean:
	find $(BUILD) -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} + 2>/dev/null || true
distclean:
	rm -rf $(BUILD)
help:
	@printf '%s\n' \
		'make              build into $(BUILD)' \
		'make demo         install packages, build, attach and use an image' \
		'make check        install packages, build, run all tests of CI' \
		'make check-long   the same and what takes longer: other kernels, stress' \
		'make unit|interop|vm [TEST=name]  one kind of tests, or one test' \
		'make fuzz         libFuzzer on client, server and parsers, FUZZ_SECONDS=20 each' \
		'make lint         clang-tidy, cppcheck, shellcheck and house rules' \
		'make bench        compare with qemu-nbd, nbdkit and losetup, here and in the test kernel' \
		'make install      PREFIX=$(PREFIX) DESTDIR=' \
		'make clean        keeps downloads; distclean does not'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
