/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-serve's options, as its parts share them. */
#ifndef NBDT_NBD_SERVE_H
#define NBDT_NBD_SERVE_H

#include "image.h"

#define MAX_LISTEN_OPTIONS 16

struct serve_options {
	struct nbdt_server_options server;
	struct nbdt_tls_options tls;
	bool tls_chosen;          /* --tls was given */
	struct image_options image; /* of every export */
	const char *listen[MAX_LISTEN_OPTIONS]; /* ADDRESS:PORT */
	size_t listen_count;
	const char *socket;       /* --unix, or NULL */
	const char *description;  /* of every export, or NULL */
	const char *default_name; /* or NULL: the first one */
	bool foreground;
	const char *pid_file;     /* or NULL */
	const char *user;         /* to be instead of root, or NULL */
	const char *run;          /* a command to serve as long as it runs, or NULL */
	char **files;             /* FILE or NAME=FILE */
	size_t file_count;
};

/* serve-options.c: reads a command line. --help and such end here. */
enum command_status serve_read_arguments(int argc, char **argv, struct serve_options *options);

/* serve-exports.c: what is served. */
struct exports {
	struct nbdt_device **devices;
	size_t count;
};

/* Opens the files and adds them to the server. Says what goes wrong. */
enum command_status exports_open(const struct serve_options *options, struct nbdt_server *server,
	struct exports *exports);
/* The server must be gone. */
void exports_close(struct exports *exports);

/* serve-user.c: who serves. */
struct user {
	const char *name; /* NULL: whoever we are */
	uid_t uid;
	gid_t gid;
};

/* Looks NAME up, which may be NULL. */
enum command_status user_find(const char *name, struct user *user);
/* Becomes it, for good. */
enum command_status user_become(const struct user *user);

/* serve-listen.c: where. */
struct listeners {
	int *sockets;
	size_t count;
	bool activated; /* the sockets were handed to us */
	char *path;     /* of a Unix socket to remove at the end, or NULL */
	dev_t dev;      /* what it is, lest another's is removed */
	ino_t ino;
	char *folder;   /* its own folder, or NULL */
};

/* Are there sockets for us in the environment, from systemd or some other parent (LISTEN_FDS)? */
bool listeners_are_given(void);
/* A private socket is for USER. */
enum command_status listeners_open(const struct serve_options *options, const struct user *user,
	struct listeners *listeners);
/* The URI of a socket's default export, for free(). NULL: it has none, or there is no memory. */
char *listener_uri(int socket, bool tls);
/* Removes what is ours in the file system, as long as we listen: nobody takes our place before. */
void listeners_remove(struct listeners *listeners);
/* Does that, too, and closes the sockets that are there. */
void listeners_close(struct listeners *listeners);

/*
 * serve-run.c: serves until a signal comes, or the command of --run has ended, whose status is
 * returned then.
 */
int serve_run(const struct serve_options *options);

#endif
