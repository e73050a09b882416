/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buddies with lazy merging. Sizes are powers of two, "orders" of pages. A returned buffer goes
 * on top of its order's list and is handed out first the next time, still warm in the CPU's
 * cache; neighbours are merged only when an order runs dry.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "buffers.h"

#define ORDERS 14 /* 4 KiB to 32 MiB */
#define NONE UINT32_MAX

enum page_state {
	PAGE_INSIDE, /* not the first page of a buffer */
	PAGE_FREE,
	PAGE_USED,
};

struct page {
	uint32_t next; /* in the list of its order, while free */
	uint8_t state;
	uint8_t order; /* of the buffer that begins here */
};

struct buffers {
	unsigned char *arena;
	uint32_t page_count;
	uint32_t free[ORDERS]; /* heads of the lists */
	struct page pages[];
};

static void push(struct buffers *buffers, uint32_t page, unsigned int order)
{
	buffers->pages[page].state = PAGE_FREE;
	buffers->pages[page].order = (uint8_t)order;
	buffers->pages[page].next = buffers->free[order];
	buffers->free[order] = page;
}

static uint32_t pop(struct buffers *buffers, unsigned int order)
{
	uint32_t page = buffers->free[order];

	if (page != NONE)
		buffers->free[order] = buffers->pages[page].next;
	return page;
}

/* Divides the whole arena into the largest aligned buffers that fit. */
static void fill_arena(struct buffers *buffers)
{
	for (uint32_t page = 0; page < buffers->page_count;) {
		unsigned int order = ORDERS - 1;

		while (page % (1u << order) || (1u << order) > buffers->page_count - page)
			order--;
		push(buffers, page, order);
		page += 1u << order;
	}
}

static bool is_free(const struct buffers *buffers, uint32_t page, unsigned int order)
{
	return page < buffers->page_count && buffers->pages[page].state == PAGE_FREE &&
		buffers->pages[page].order == order;
}

/*
 * Joins free buddies of one order into buffers of the next. The lists are out of date afterwards.
 */
static void merge_order(struct buffers *buffers, unsigned int order)
{
	uint32_t half = 1u << order;

	for (uint32_t page = 0; page < buffers->page_count; page += 2 * half) {
		if (!is_free(buffers, page, order) || !is_free(buffers, page + half, order))
			continue;
		buffers->pages[page].order = (uint8_t)(order + 1);
		buffers->pages[page + half].state = PAGE_INSIDE;
	}
}

/*
 * Lists what is free again, from the end, so that low addresses come first and high ones stay
 * untouched.
 */
static void rebuild_lists(struct buffers *buffers)
{
	for (unsigned int order = 0; order < ORDERS; order++)
		buffers->free[order] = NONE;
	for (uint32_t page = buffers->page_count; page-- > 0;) {
		if (buffers->pages[page].state == PAGE_FREE)
			push(buffers, page, buffers->pages[page].order);
	}
}

static void merge(struct buffers *buffers)
{
	for (unsigned int order = 0; order < ORDERS - 1; order++)
		merge_order(buffers, order);
	rebuild_lists(buffers);
}

/* Takes from the smallest order that has something, and gives back what is left over. */
static uint32_t take(struct buffers *buffers, unsigned int order)
{
	unsigned int found = order;

	while (found < ORDERS && buffers->free[found] == NONE)
		found++;
	if (found == ORDERS)
		return NONE;
	uint32_t page = pop(buffers, found);
	while (found > order) {
		found--;
		push(buffers, page + (1u << found), found);
	}
	buffers->pages[page].state = PAGE_USED;
	buffers->pages[page].order = (uint8_t)order;
	return page;
}

static unsigned int order_of(size_t size)
{
	unsigned int order = 0;

	while (((size_t)BUFFER_ALIGNMENT << order) < size)
		order++;
	return order;
}

void *buffers_get(struct buffers *buffers, size_t size)
{
	if (size > BUFFER_MAXIMUM)
		return NULL;
	unsigned int order = order_of(size);
	uint32_t page = take(buffers, order);
	if (page == NONE) {
		merge(buffers);
		page = take(buffers, order);
	}
	if (page == NONE)
		return NULL;
	return buffers->arena + (size_t)page * BUFFER_ALIGNMENT;
}

void buffers_put(struct buffers *buffers, void *buffer)
{
	if (!buffer)
		return;
	size_t offset = (size_t)((unsigned char *)buffer - buffers->arena);
	uint32_t page = (uint32_t)(offset / BUFFER_ALIGNMENT);
	push(buffers, page, buffers->pages[page].order);
}

/* Pages become real when they are first used, so an idle connection costs next to nothing. */
static unsigned char *map_arena(size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *arena = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);

	return arena == MAP_FAILED ? NULL : arena;
}

static unsigned int lowest_order(const struct buffers *buffers)
{
	unsigned int order = 0;

	while (buffers->free[order] == NONE)
		order++;
	return order;
}

/* A small buffer is cut from the beginning of the smallest that is free. */
static void warm_up(struct buffers *buffers, size_t size)
{
	size_t begin = (size_t)buffers->free[lowest_order(buffers)] * BUFFER_ALIGNMENT;
	size_t rest = (size_t)buffers->page_count * BUFFER_ALIGNMENT - begin;

	if (size > rest)
		size = rest;
	memset(buffers->arena + begin, 0, size);
	mlock(buffers->arena + begin, size); /* the unprivileged may not, and must do without */
}

int buffers_new(size_t budget, size_t warm, struct buffers **buffers)
{
	if (budget < BUFFER_MAXIMUM)
		budget = BUFFER_MAXIMUM;
	size_t page_count = budget / BUFFER_ALIGNMENT;
	if (page_count > NONE / 4)
		return -ENOMEM;
	struct buffers *new = calloc(1, sizeof(*new) + page_count * sizeof(new->pages[0]));
	if (!new)
		return -ENOMEM;
	new->page_count = (uint32_t)page_count;
	new->arena = map_arena(page_count * BUFFER_ALIGNMENT);
	if (!new->arena) {
		free(new);
		return -ENOMEM;
	}
	for (unsigned int order = 0; order < ORDERS; order++)
		new->free[order] = NONE;
	fill_arena(new);
	if (warm)
		warm_up(new, warm);
	*buffers = new;
	return 0;
}

void buffers_free(struct buffers *buffers)
{
	if (!buffers)
		return;
	munmap(buffers->arena, (size_t)buffers->page_count * BUFFER_ALIGNMENT);
	free(buffers);
}
