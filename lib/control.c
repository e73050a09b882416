/* SPDX-License-Identifier: Apache-2.0 */
/* The control channel of a resident process: JSON over a Unix socket that only root can reach. */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "nbdtools.h"
#include "transport.h"

#define MAX_MESSAGE 4096       /* bytes */
#define REQUEST_TIMEOUT 1000   /* milliseconds for a client to say what it wants */
#define REPLY_TIMEOUT 30000    /* milliseconds: a stop may have to flush much */

struct nbdt_control {
	int fd;
};

static const char *const command_names[] = {
	[NBDT_CONTROL_STATUS] = "status",
	[NBDT_CONTROL_RESIZE] = "resize",
	[NBDT_CONTROL_FAIL_WRITES] = "fail-writes",
	[NBDT_CONTROL_PASS_WRITES] = "pass-writes",
	[NBDT_CONTROL_STOP] = "stop",
};

#define COMMAND_COUNT (sizeof(command_names) / sizeof(command_names[0]))

static void cleanup_object(struct json_object **object)
{
	json_object_put(*object);
}

#define CLEANUP_OBJECT __attribute__((cleanup(cleanup_object)))

static struct sockaddr_un control_address(int index)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), NBDT_RUN_DIR "/nbd%d.sock", index);
	return address;
}

/*
 * Receives until one JSON object is complete; NULL: too long, too late, not JSON, or not an object.
 */
static struct json_object *receive_object(int fd, unsigned int timeout)
{
	deadline_t deadline = deadline_after(timeout);
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object = NULL;
	char buffer[MAX_MESSAGE];
	size_t total = 0;

	while (tokener && !object && total < sizeof(buffer)) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };

		if (poll(&wait, 1, deadline_left(deadline)) <= 0)
			break;
		ssize_t got = recv(fd, buffer, sizeof(buffer) - total, MSG_DONTWAIT);
		if (got <= 0)
			break;
		total += (size_t)got;
		object = json_tokener_parse_ex(tokener, buffer, (int)got);
		if (!object && json_tokener_get_error(tokener) != json_tokener_continue)
			break;
	}
	json_tokener_free(tokener);
	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return NULL;
	}
	return object;
}

/* Messages are far smaller than a socket's buffer: one send takes it whole or the peer is gone. */
static int send_object(int fd, struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	struct iovec parts[] = {
		{ .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) },
		{ .iov_base = (char[]){ '\n' }, .iov_len = 1 },
	};
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int nbdt_control_listen(int index, struct nbdt_control **control, struct nbdt_error *err)
{
	struct sockaddr_un address = control_address(index);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return nbdt_error_errno(err, -errno, "cannot make the control socket");
	/*
	 * Before it has a name the socket's mode decides that of the name: there is no moment of
	 * 0777.
	 */
	fchmod(fd, 0600);
	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 8)) {
		int result = -errno;

		close(fd);
		return nbdt_error_errno(err, result, "cannot listen on %s", address.sun_path);
	}
	struct nbdt_control *new = malloc(sizeof(*new));
	if (!new) {
		close(fd);
		return nbdt_error_errno(err, -ENOMEM, "control socket");
	}
	new->fd = fd;
	*control = new;
	return 0;
}

int nbdt_control_fd(const struct nbdt_control *control)
{
	return control->fd;
}

static int find_command(struct json_object *request)
{
	struct json_object *name;

	if (!request || !json_object_object_get_ex(request, "command", &name)
		|| !json_object_is_type(name, json_type_string))
		return -1;
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(json_object_get_string(name), command_names[i]))
			return (int)i;
	return -1;
}

static struct json_object *format_reply(
	int result, const struct nbdt_control_status *status, const struct nbdt_error *err)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "result", json_object_new_int(result));
	if (result)
		json_object_object_add(reply, "error", json_object_new_string(err->text));
	if (status) {
		json_object_object_add(reply, "pid", json_object_new_int(status->pid));
		json_object_object_add(reply, "size", json_object_new_uint64(status->size));
		json_object_object_add(reply, "failing-writes",
			json_object_new_boolean(status->failing_writes));
	}
	return reply;
}

void nbdt_control_serve(struct nbdt_control *control,
	int (*handle)(enum nbdt_control_command command, struct nbdt_control_status *status,
		void *arg, struct nbdt_error *err),
	void *arg)
{
	struct nbdt_control_status status = { 0 };
	struct nbdt_error err = { 0 };

	CLEANUP_CLOSE int client = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);
	if (client < 0)
		return;
	CLEANUP_OBJECT struct json_object *request = receive_object(client, REQUEST_TIMEOUT);
	int command = find_command(request);
	int result = command < 0
			     ? nbdt_error_set(&err, -EINVAL, "no such command")
			     : handle((enum nbdt_control_command)command, &status, arg, &err);
	bool wants_status = !result && command == NBDT_CONTROL_STATUS;
	CLEANUP_OBJECT struct json_object *reply =
		format_reply(result, wants_status ? &status : NULL, &err);
	send_object(client, reply);
}

void nbdt_control_close(struct nbdt_control *control)
{
	if (!control)
		return;
	close(control->fd);
	free(control);
}

static int connect_control(int index, struct nbdt_error *err)
{
	struct sockaddr_un address = control_address(index);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return nbdt_error_errno(err, -errno, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		int result = -errno;

		close(fd);
		return nbdt_error_errno(err, result, "%s", address.sun_path);
	}
	return fd;
}

static uint64_t get_number(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ? json_object_get_uint64(value) : 0;
}

static int parse_reply(
	struct json_object *reply, struct nbdt_control_status *status, struct nbdt_error *err)
{
	struct json_object *value;

	if (!json_object_object_get_ex(reply, "result", &value))
		return nbdt_error_set(err, -EPROTO, "the server's answer has no result");
	int result = json_object_get_int(value);
	if (result && json_object_object_get_ex(reply, "error", &value))
		return nbdt_error_set(err, result, "%s", json_object_get_string(value));
	if (status) {
		status->pid = (int)get_number(reply, "pid");
		status->size = get_number(reply, "size");
		status->failing_writes = json_object_object_get_ex(reply, "failing-writes", &value)
			&& json_object_get_boolean(value);
	}
	return result;
}

int nbdt_control_call(int index, enum nbdt_control_command command,
	struct nbdt_control_status *status, struct nbdt_error *err)
{
	CLEANUP_CLOSE int fd = connect_control(index, err);
	if (fd < 0)
		return fd;
	CLEANUP_OBJECT struct json_object *request = json_object_new_object();
	json_object_object_add(
		request, "command", json_object_new_string(command_names[command]));
	int result = send_object(fd, request);
	if (result)
		return nbdt_error_errno(err, result, "cannot ask the server of nbd%d", index);
	CLEANUP_OBJECT struct json_object *reply = receive_object(fd, REPLY_TIMEOUT);
	if (!reply)
		return nbdt_error_set(
			err, -ETIMEDOUT, "the server of nbd%d does not answer", index);
	return parse_reply(reply, status, err);
}
