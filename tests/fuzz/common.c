/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"

void fuzz_check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "wrong: %s\n", what);
	abort();
}

void fuzz_check_error(int code, const struct nbdt_error *err)
{
	size_t length = strnlen(err->text, sizeof(err->text));

	fuzz_check(code < 0 && err->code == code, "the error's code is not that returned");
	fuzz_check(length && length < sizeof(err->text), "the error has no sentence");
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)err->text[i];

		fuzz_check(byte >= 0x20 && byte != 0x7f, "a control character is in the error");
	}
}

int fuzz_socket(const uint8_t *data, size_t size, int *other)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		perror("socketpair");
		exit(1);
	}
	if (size && send(pair[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
		perror("send");
		exit(1);
	}
	shutdown(pair[1], SHUT_WR);
	*other = pair[1];
	return pair[0];
}
