/* SPDX-License-Identifier: Apache-2.0 */
#include "list-facts.h"

#include <string.h>

const struct export_flag export_flags[EXPORT_FLAG_COUNT] = {
	{ "is_rotational", "rotational", NBDT_FLAG_ROTATIONAL },
	{ "is_read_only", "read-only", NBDT_FLAG_READ_ONLY },
	{ "can_cache", "cache", NBDT_FLAG_SEND_CACHE },
	{ "can_df", "df", NBDT_FLAG_SEND_DF },
	{ "can_fast_zero", "fast-zero", NBDT_FLAG_SEND_FAST_ZERO },
	{ "can_flush", "flush", NBDT_FLAG_SEND_FLUSH },
	{ "can_fua", "fua", NBDT_FLAG_SEND_FUA },
	{ "can_multi_conn", "multi-conn", NBDT_FLAG_CAN_MULTI_CONN },
	{ "can_trim", "trim", NBDT_FLAG_SEND_TRIM },
	{ "can_zero", "zero", NBDT_FLAG_SEND_WRITE_ZEROES },
};

static const struct export_flag *find_flag(const char *name)
{
	for (size_t i = 0; i < EXPORT_FLAG_COUNT; i++)
		if (!strcmp(export_flags[i].name, name))
			return &export_flags[i];
	return NULL;
}

bool is_ability(const char *name)
{
	static const char *const others[] = { "connect", "read", "write", "structured-reply",
		"extended-headers", "tls" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(others[i], name))
			return true;
	return find_flag(name);
}

bool has_ability(const char *name, const struct asking *asking, const struct nbdt_export *export)
{
	const struct export_flag *flag = find_flag(name);

	if (flag)
		return export->flags & flag->flag;
	if (!strcmp(name, "write"))
		return !(export->flags & NBDT_FLAG_READ_ONLY);
	if (!strcmp(name, "structured-reply"))
		return asking->structured;
	if (!strcmp(name, "extended-headers"))
		return asking->extended;
	if (!strcmp(name, "tls"))
		return asking->tls;
	/* Who got here has connected, and every export can be read. */
	return true;
}
