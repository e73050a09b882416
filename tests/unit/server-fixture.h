/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the transmission phase: a session with a device in memory, "disk". */
#ifndef SERVER_FIXTURE_H
#define SERVER_FIXTURE_H

#include "scripted-client.h"

#define KIB 1024u
#define MIB (1024u * 1024)

struct server_fixture {
	struct memory_device memory;
	struct session session;
	int fd;
};

/* For cmocka. */
int server_set_up(void **state);
int server_tear_down(void **state);
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, server_set_up, server_tear_down)

/* Ends the session, so that a test may change what the device can do before it begins another. */
struct memory_device *server_disconnect(struct server_fixture *fixture);
void server_reconnect(struct server_fixture *fixture);

void pause_briefly(void);
/* Waits until the server has taken all that was sent. */
void await_reception(int fd);

/* A WRITE or READ, and its reply's error. */
uint32_t write_data(int fd, uint16_t flags, uint64_t offset, const void *data, uint32_t length);
uint32_t read_data(int fd, uint64_t offset, void *data, uint32_t length);
/* Sends COUNT requests at offset 0 in one go, their cookies counted from 0. */
void send_batch(int fd, uint16_t type, uint32_t length, size_t count);

#endif
