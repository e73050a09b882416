/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up root. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "nbd-serve.h"

enum command_status user_find(const char *name, struct user *user)
{
	if (!name)
		return STATUS_DONE;
	errno = 0;
	const struct passwd *entry = getpwnam(name);
	if (!entry) {
		say_error("--user: there is no user %s", name);
		return STATUS_FAILED;
	}
	if (!entry->pw_uid || !entry->pw_gid)
		return usage_error("--user: %s has root's own rights", name);
	user->name = name;
	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	return STATUS_DONE;
}

/*
 * All of it before the first thread is there. Capabilities go with the last user ID that is root's
 * (capabilities(7)); what a set-user-ID program could bring back goes with PR_SET_NO_NEW_PRIVS.
 */
enum command_status user_become(const struct user *user)
{
	if (!user->name)
		return STATUS_DONE;
	if (initgroups(user->name, user->gid) || setresgid(user->gid, user->gid, user->gid)
		|| setresuid(user->uid, user->uid, user->uid)
		|| prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		say_error("--user: cannot become %s: %m", user->name);
		return errno == EPERM ? STATUS_NOT_PERMITTED : STATUS_FAILED;
	}
	/* Whoever was no root before may have kept capabilities. */
	if (!setuid(0) || !setgid(0)) {
		say_error("--user: %s could become root again", user->name);
		return STATUS_FAILED;
	}
	return STATUS_DONE;
}
