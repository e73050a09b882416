/* SPDX-License-Identifier: Apache-2.0 */
/* Polling with pauses that grow, until a time limit. */
#ifndef NBDT_BACKOFF_H
#define NBDT_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define BACKOFF_LONGEST 50 /* milliseconds between two looks */

struct backoff {
	int64_t end;   /* milliseconds of CLOCK_MONOTONIC */
	int64_t pause; /* milliseconds */
};

static inline int64_t backoff_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline struct backoff backoff_start(int64_t milliseconds)
{
	return (struct backoff){ .end = backoff_now() + milliseconds, .pause = 1 };
}

/* Milliseconds until the limit, at least 0. */
static inline int64_t backoff_left(const struct backoff *backoff)
{
	int64_t left = backoff->end - backoff_now();

	return left > 0 ? left : 0;
}

/* Begins with short pauses again, for something else under the same limit. */
static inline void backoff_restart(struct backoff *backoff)
{
	backoff->pause = 1;
}

/* Sleeps for the next pause; false, without sleeping, when the time is over. */
static inline bool backoff_sleep(struct backoff *backoff)
{
	int64_t left = backoff_left(backoff);

	if (!left)
		return false;
	int64_t pause = backoff->pause < left ? backoff->pause : left;
	const struct timespec sleep = { .tv_nsec = pause * 1000000 };
	nanosleep(&sleep, NULL);
	backoff->pause *= 2;
	if (backoff->pause > BACKOFF_LONGEST)
		backoff->pause = BACKOFF_LONGEST;
	return true;
}

#endif
