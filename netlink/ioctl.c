/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session of a device attached by ioctl: a thread that sets the device up and stays in
 * NBD_DO_IT. What that returns says nothing about the cause of the end: a disconnect and the
 * server's close both give 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ioctl-device.h"

#define UP_LIMIT_MS 10000
#define UP_PAUSE_MS 2

enum phase {
	SETTING_UP,
	RUNNING, /* in NBD_DO_IT, or about to be */
	ENDED,
};

struct nbdt_ioctl_session {
	const struct nbdt_kernel_config *config; /* the caller's: while setting up only */
	uint64_t size;
	pthread_t thread;
	int event;
	int index;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t changed;
	enum phase phase;
	int fd;                  /* the device, or -1 */
	struct nbdt_error error; /* why it ended, if it failed */
};

static void enter(struct nbdt_ioctl_session *session, enum phase phase, int fd)
{
	pthread_mutex_lock(&session->lock);
	session->phase = phase;
	session->fd = fd;
	pthread_cond_broadcast(&session->changed);
	pthread_mutex_unlock(&session->lock);
}

static void *run_session(void *arg)
{
	struct nbdt_ioctl_session *session = arg;
	int fd = ioctl_device_set_up(session->config, &session->index, &session->error);

	if (fd >= 0) {
		enter(session, RUNNING, fd);
		if (ioctl(fd, NBD_DO_IT) < 0)
			nbdt_error_errno(
				&session->error, -errno, "nbd%d: NBD_DO_IT", session->index);
		ioctl(fd, NBD_CLEAR_SOCK);
	}
	enter(session, ENDED, -1);
	if (fd >= 0)
		close(fd);
	/* Last: whoever sees it readable finds the device let go. */
	eventfd_write(session->event, 1);
	return NULL;
}

static enum phase current_phase(struct nbdt_ioctl_session *session)
{
	pthread_mutex_lock(&session->lock);
	enum phase phase = session->phase;
	pthread_mutex_unlock(&session->lock);
	return phase;
}

static int start_thread(struct nbdt_ioctl_session *session)
{
	sigset_t all, before;

	/* A signal taken in NBD_DO_IT ends it, and with SA_RESTART restarts it into EBUSY. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int result = -pthread_create(&session->thread, NULL, run_session, session);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

static struct nbdt_ioctl_session *new_session(const struct nbdt_kernel_config *config)
{
	struct nbdt_ioctl_session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->config = config;
	session->size = config->size;
	session->fd = -1;
	session->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (session->event < 0) {
		free(session);
		return NULL;
	}
	pthread_mutex_init(&session->lock, NULL);
	pthread_cond_init(&session->changed, NULL);
	return session;
}

static void free_session(struct nbdt_ioctl_session *session)
{
	pthread_cond_destroy(&session->changed);
	pthread_mutex_destroy(&session->lock);
	close(session->event);
	free(session);
}

static enum phase wait_set_up(struct nbdt_ioctl_session *session)
{
	pthread_mutex_lock(&session->lock);
	while (session->phase == SETTING_UP)
		pthread_cond_wait(&session->changed, &session->lock);
	enum phase phase = session->phase;
	pthread_mutex_unlock(&session->lock);
	return phase;
}

/* NBD_DO_IT does not return while the device lives: only sysfs tells that it is up. */
static int wait_up(struct nbdt_ioctl_session *session, struct nbdt_error *err)
{
	const struct timespec pause = { .tv_nsec = UP_PAUSE_MS * 1000000L };
	enum phase phase = wait_set_up(session);

	for (unsigned int waited = 0; phase == RUNNING && waited < UP_LIMIT_MS;
		waited += UP_PAUSE_MS) {
		if (ioctl_device_is_up(session->index, session->size))
			return 0;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		phase = current_phase(session);
	}
	if (phase == RUNNING)
		return nbdt_error_set(
			err, -ETIMEDOUT, "nbd%d: the device does not come up", session->index);
	/* It has ended, and nobody else writes the error any more. */
	if (session->error.code < 0)
		return nbdt_error_set(err, session->error.code, "%s", session->error.text);
	return nbdt_error_set(
		err, -ECONNRESET, "nbd%d: the server hung up at once", session->index);
}

int nbdt_ioctl_attach(const struct nbdt_kernel_config *config, struct nbdt_ioctl_session **session,
	int *index, struct nbdt_error *err)
{
	int result = kernel_check_config(config, err);

	if (result == 0)
		result = nbdt_kernel_load_module(err);
	if (result < 0)
		return result;
	struct nbdt_ioctl_session *started = new_session(config);
	if (!started)
		return nbdt_error_errno(err, -ENOMEM, "attaching by ioctl");
	result = start_thread(started);
	if (result < 0) {
		free_session(started);
		return nbdt_error_errno(err, result, "attaching by ioctl");
	}
	result = wait_up(started, err);
	if (result < 0) {
		nbdt_ioctl_disconnect(started, NULL);
		nbdt_ioctl_finish(started);
		return result;
	}
	*index = started->index;
	*session = started;
	return 0;
}

int nbdt_ioctl_fd(const struct nbdt_ioctl_session *session)
{
	return session->event;
}

int nbdt_ioctl_disconnect(struct nbdt_ioctl_session *session, struct nbdt_error *err)
{
	int result = 0;

	/* A descriptor of its own: the session's thread may close the other one meanwhile. */
	pthread_mutex_lock(&session->lock);
	int fd = session->fd < 0 ? -1 : fcntl(session->fd, F_DUPFD_CLOEXEC, 0);
	if (session->fd >= 0 && fd < 0)
		result = -errno;
	pthread_mutex_unlock(&session->lock);
	if (fd >= 0) {
		result = ioctl_device_disconnect(fd);
		close(fd);
	}
	return result < 0 ? nbdt_error_errno(err, result, "disconnecting nbd%d", session->index)
			  : 0;
}

void nbdt_ioctl_finish(struct nbdt_ioctl_session *session)
{
	if (!session)
		return;
	pthread_join(session->thread, NULL);
	free_session(session);
}
