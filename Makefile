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
RUNDIR ?= /run/nbd-tools

CC ?= cc
PKG_CONFIG ?= pkg-config
INSTALL ?= install
CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wformat=2 -Wundef -Wvla -Werror
HARDENING = -D_FORTIFY_SOURCE=2 -fstack-protector-strong
LIB_PACKAGES = libnl-genl-3.0 liburiparser json-c mount libudev
CMD_PACKAGES = smartcols

# SANITIZE=address,undefined builds with those sanitizers; fortification would hide from them.
ifdef SANITIZE
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
UNIT_TESTS = $(basename $(notdir $(wildcard tests/unit/test-*.c)))
UNIT_SHARED = $(patsubst %.c,$(BUILD)/%.o,\
	$(filter-out $(wildcard tests/unit/test-*.c),$(wildcard tests/unit/*.c)))
INTEROP_PROGRAMS = $(basename $(notdir $(wildcard tests/interop/*.c)))
HEADERS = lib/nbdtools.h netlink/nbdtools-kernel.h

STATIC_LIB = $(BUILD)/libnbdtools.a
SHARED_LIB = $(BUILD)/libnbdtools.so.$(SOVERSION)

.PHONY: all
all: $(addprefix $(BUILD)/bin/,$(COMMANDS)) $(STATIC_LIB) $(SHARED_LIB) $(BUILD)/nbdtools.pc

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(STATIC_LIB): $(LIB_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

$(SHARED_LIB): $(LIB_OBJECTS) lib/libnbdtools.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(@F) -Wl,--version-script=lib/libnbdtools.map \
		-Wl,-z,defs -o $@ $(LIB_OBJECTS) $(LIB_LIBS)

$(addprefix $(BUILD)/bin/,$(COMMANDS)): $(BUILD)/bin/%: $(BUILD)/cmd/%.o $(CMD_SHARED) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CMD_LIBS) $(LIB_LIBS)

$(addprefix $(BUILD)/unit/,$(UNIT_TESTS)): $(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(UNIT_SHARED) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LIBS) -lcmocka

$(addprefix $(BUILD)/interop/,$(INTEROP_PROGRAMS)): $(BUILD)/interop/%: $(BUILD)/tests/interop/%.o $(STATIC_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LIBS)

.PHONY: unit-programs interop-programs
unit-programs: $(addprefix $(BUILD)/unit/,$(UNIT_TESTS))
interop-programs: all $(addprefix $(BUILD)/interop/,$(INTEROP_PROGRAMS))

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
