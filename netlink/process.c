/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "process.h"
#include "sysfs.h"

#define FIELD_STATE 3
#define FIELD_START_TIME 22

int process_parse_stat(const char *text, char *state, uint64_t *start_time)
{
	/* The name (field 2) is in parentheses and may contain any others: the last one ends it. */
	const char *at = strrchr(text, ')');
	char digits[24];

	if (!at || at[1] != ' ' || !at[2])
		return -EINVAL;
	at += 2;
	*state = *at;
	for (int field = FIELD_STATE; field < FIELD_START_TIME; field++) {
		at = strchr(at, ' ');
		if (!at)
			return -EINVAL;
		at++;
	}
	size_t length = strcspn(at, " ");
	if (length >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, at, length);
	digits[length] = '\0';
	return sysfs_parse_u64(digits, start_time) ? -EINVAL : 0;
}

int process_start_time(pid_t pid, uint64_t *start_time)
{
	char path[32], text[1024], state;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int result = sysfs_read_text(AT_FDCWD, path, text, sizeof(text));
	if (result)
		return result == -ENOENT ? -ESRCH : result;
	result = process_parse_stat(text, &state, start_time);
	if (!result && (state == 'Z' || state == 'X'))
		return -ESRCH;
	return result;
}

bool process_is_running(pid_t pid, uint64_t start_time)
{
	uint64_t found;

	return pid > 0 && !process_start_time(pid, &found) && found == start_time;
}

bool process_has_thread(pid_t pid, pid_t thread)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, thread);
	return !access(path, F_OK);
}
