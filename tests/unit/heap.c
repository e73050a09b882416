/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "heap.h"

#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static _Thread_local bool watching;
static _Thread_local int64_t live, peak;

/* More or, below zero, less. */
static void count(int64_t bytes)
{
	if (!watching)
		return;
	live += bytes;
	if (live > peak)
		peak = live;
}

void heap_watch(void)
{
	live = 0;
	peak = 0;
	watching = true;
}

size_t heap_peak(void)
{
	watching = false;
	return (size_t)peak;
}

#if SANITIZED

/* Its allocator's; not every compiler has a header for them. */
int __sanitizer_install_malloc_and_free_hooks(
	void (*allocated)(const volatile void *at, size_t size),
	void (*released)(const volatile void *at));
size_t __sanitizer_get_allocated_size(const volatile void *at);

static void count_allocation(const volatile void *at, size_t size)
{
	(void)at;
	count((int64_t)size);
}

static void count_release(const volatile void *at)
{
	count(-(int64_t)__sanitizer_get_allocated_size(at));
}

__attribute__((constructor)) static void install(void)
{
	__sanitizer_install_malloc_and_free_hooks(count_allocation, count_release);
}

#else

/* In the place of the C library's, for other libraries too. */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t number, size_t size);
void *__libc_realloc(void *at, size_t size);
void __libc_free(void *at);

void *malloc(size_t size)
{
	void *at = __libc_malloc(size);

	count((int64_t)malloc_usable_size(at));
	return at;
}

void *calloc(size_t number, size_t size)
{
	void *at = __libc_calloc(number, size);

	count((int64_t)malloc_usable_size(at));
	return at;
}

void *realloc(void *at, size_t size)
{
	int64_t before = (int64_t)malloc_usable_size(at);
	void *moved = __libc_realloc(at, size);

	if (moved || !size)
		count((int64_t)malloc_usable_size(moved) - before);
	return moved;
}

void free(void *at)
{
	count(-(int64_t)malloc_usable_size(at));
	__libc_free(at);
}

#endif
