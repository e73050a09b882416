/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NBDT_MEMORY_PRESSURE_H
#define NBDT_MEMORY_PRESSURE_H

/*
 * The kernel may need this process to free memory, by writing dirty pages through it; so it must
 * never wait for memory itself, nor be chosen by the OOM killer. Each of these needs privileges
 * that attaching needs too; what fails is only said.
 */
void resist_memory_pressure(void);

#endif
