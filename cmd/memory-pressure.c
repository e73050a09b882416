/* SPDX-License-Identifier: Apache-2.0 */
#include "memory-pressure.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "command.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static void hide_from_oom_killer(void)
{
	CLEANUP_CLOSE int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "-1000", 5) != 5)
		say_notice("cannot hide from the OOM killer: %m");
}

/*
 * Code and data now; whatever is mapped later, such as stacks, as soon as it is used: the server's
 * buffers may be large, and it locks beforehand what it needs of them.
 */
static void lock_memory(void)
{
	if (mlockall(MCL_CURRENT) || mlockall(MCL_FUTURE | MCL_ONFAULT))
		say_notice("cannot lock memory: %m");
}

void resist_memory_pressure(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		say_notice("cannot become an I/O flusher: %m");
	hide_from_oom_killer();
	lock_memory();
}
