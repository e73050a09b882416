/* SPDX-License-Identifier: Apache-2.0 */
/* The file with a server's process number. */
#ifndef NBDT_PID_FILE_H
#define NBDT_PID_FILE_H

#include "command.h"

/*
 * Writes ours to file NAME. *PATH, for pid_file_remove(), stays valid when the current folder
 * changes.
 */
int pid_file_write(const char *name, char **path, struct nbdt_error *err);

/* Removes it, unless somebody else has written another number. NULL is fine. */
void pid_file_remove(char *path);

#endif
