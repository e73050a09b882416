/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getaddrinfo() knows no deadline, and with its usual settings tries for minutes. So it runs in a
 * thread of its own, which is left to itself when the time is over: it then frees what it shares
 * with us. getaddrinfo_a() would be the same with less control, since a request under way can't be
 * cancelled there either, and its results must stay where they are until it is done.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "resolve.h"

/* Shared by the caller and the thread; the last one frees it. */
struct resolution {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
	bool abandoned;
	char *host;
	char *port;
	int result; /* of getaddrinfo() */
	int system_error;
	struct addrinfo *list;
};

static void resolution_free(struct resolution *resolution)
{
	pthread_mutex_destroy(&resolution->lock);
	pthread_cond_destroy(&resolution->changed);
	if (resolution->list)
		freeaddrinfo(resolution->list);
	free(resolution->host);
	free(resolution->port);
	free(resolution);
}

static struct resolution *resolution_new(const char *host, const char *port)
{
	struct resolution *resolution = calloc(1, sizeof(*resolution));
	pthread_condattr_t attributes;

	if (!resolution)
		return NULL;
	pthread_mutex_init(&resolution->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&resolution->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	resolution->host = strdup(host);
	resolution->port = strdup(port);
	if (resolution->host && resolution->port)
		return resolution;
	resolution_free(resolution);
	return NULL;
}

static int look_up(const char *host, const char *port, int flags, struct addrinfo **list)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | flags,
	};

	return getaddrinfo(host, port, &hints, list);
}

static void *resolve_in_thread(void *arg)
{
	struct resolution *resolution = arg;
	struct addrinfo *list = NULL;
	int result = look_up(resolution->host, resolution->port, 0, &list);
	int system_error = errno;

	pthread_mutex_lock(&resolution->lock);
	resolution->result = result;
	resolution->system_error = system_error;
	resolution->list = result ? NULL : list;
	resolution->done = true;
	bool abandoned = resolution->abandoned;
	pthread_cond_signal(&resolution->changed);
	pthread_mutex_unlock(&resolution->lock);
	if (abandoned)
		resolution_free(resolution);
	return NULL;
}

/* The program's signals stay in the program's threads. */
static int start_thread(struct resolution *resolution)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setsigmask_np(&attributes, &all);
	int result = pthread_create(&thread, &attributes, resolve_in_thread, resolution);
	pthread_attr_destroy(&attributes);
	return -result;
}

/* True if the thread is done; otherwise the resolution belongs to it. */
static bool wait_until_done(struct resolution *resolution, deadline_t deadline)
{
	const struct timespec end = {
		.tv_sec = deadline / 1000,
		.tv_nsec = deadline % 1000 * 1000000,
	};
	int result = 0;

	pthread_mutex_lock(&resolution->lock);
	while (!resolution->done && !result)
		result = pthread_cond_timedwait(&resolution->changed, &resolution->lock, &end);
	bool done = resolution->done;
	resolution->abandoned = !done;
	pthread_mutex_unlock(&resolution->lock);
	return done;
}

static int explain(const char *host, int result, int system_error, struct nbdt_error *err)
{
	return nbdt_error_set(err, -EHOSTUNREACH, "cannot find the host %.200s: %s", host,
		result == EAI_SYSTEM ? strerrordesc_np(system_error) : gai_strerror(result));
}

int resolve_host(const char *host, const char *port, deadline_t deadline, struct addrinfo **list,
	struct nbdt_error *err)
{
	/* An address written as such needs no resolver, and no thread. */
	int result = look_up(host, port, AI_NUMERICHOST, list);
	if (!result)
		return 0;
	if (result != EAI_NONAME)
		return explain(host, result, errno, err);
	struct resolution *resolution = resolution_new(host, port);
	if (!resolution)
		return nbdt_error_errno(err, -ENOMEM, "cannot look up %.200s", host);
	result = start_thread(resolution);
	if (result) {
		resolution_free(resolution);
		return nbdt_error_errno(err, result, "cannot look up %.200s", host);
	}
	if (!wait_until_done(resolution, deadline))
		return nbdt_error_set(err, -ETIMEDOUT,
			"the address of %.200s was not found in time: is the name server"
			" reachable?",
			host);
	*list = resolution->list;
	resolution->list = NULL;
	if (resolution->result)
		result = explain(host, resolution->result, resolution->system_error, err);
	resolution_free(resolution);
	return result;
}
