/* SPDX-License-Identifier: Apache-2.0 */
#include "server-workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "server-connection.h"

/* As many requests as a disk likes to have at a time; each waits in a thread. */
#define WORKERS 16u
/* Those that are started beforehand, if so: to start one needs memory. */
#define EAGER_WORKERS 4u

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t wanted; /* there is work, or they shall end */
	struct slot *first;    /* what nobody has taken yet, in order */
	struct slot **last;
	unsigned int queued, idle;
	bool ending;
	unsigned int count;
	pthread_t threads[WORKERS];
};

static struct slot *take(struct workers *workers)
{
	struct slot *slot = workers->first;

	workers->first = slot->next;
	if (!workers->first)
		workers->last = &workers->first;
	workers->queued--;
	return slot;
}

static void *work(void *arg)
{
	struct workers *workers = arg;

	pthread_setname_np(pthread_self(), "nbd-worker");
	pthread_mutex_lock(&workers->lock);
	for (;;) {
		workers->idle++;
		while (!workers->first && !workers->ending)
			pthread_cond_wait(&workers->wanted, &workers->lock);
		workers->idle--;
		if (!workers->first)
			break;
		struct slot *slot = take(workers);
		pthread_mutex_unlock(&workers->lock);
		slot_work(slot);
		pthread_mutex_lock(&workers->lock);
	}
	pthread_mutex_unlock(&workers->lock);
	return NULL;
}

static bool start_thread(struct workers *workers)
{
	if (workers->count == WORKERS ||
		pthread_create(&workers->threads[workers->count], NULL, work, workers))
		return false;
	workers->count++;
	return true;
}

int workers_new(bool eager, struct workers **workers)
{
	struct workers *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	pthread_mutex_init(&new->lock, NULL);
	pthread_cond_init(&new->wanted, NULL);
	new->last = &new->first;
	while (eager && new->count < EAGER_WORKERS && start_thread(new))
		;
	*workers = new;
	return 0;
}

bool workers_submit(struct workers *workers, struct slot *slot)
{
	pthread_mutex_lock(&workers->lock);
	/* Those who are idle may have been woken for what is queued already. */
	if (workers->queued >= workers->idle)
		start_thread(workers);
	bool possible = workers->count > 0;
	if (possible) {
		slot->next = NULL;
		*workers->last = slot;
		workers->last = &slot->next;
		workers->queued++;
		pthread_cond_signal(&workers->wanted);
	}
	pthread_mutex_unlock(&workers->lock);
	return possible;
}

void workers_free(struct workers *workers)
{
	if (!workers)
		return;
	pthread_mutex_lock(&workers->lock);
	workers->ending = true;
	pthread_cond_broadcast(&workers->wanted);
	pthread_mutex_unlock(&workers->lock);
	for (unsigned int i = 0; i < workers->count; i++)
		pthread_join(workers->threads[i], NULL);
	pthread_cond_destroy(&workers->wanted);
	pthread_mutex_destroy(&workers->lock);
	free(workers);
}
