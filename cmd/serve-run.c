/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-serve at work, from its first file to its last client. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "background.h"
#include "cleanup.h"
#include "nbd-serve.h"
#include "notify.h"
#include "pid-file.h"
#include "serve-cleaner.h"

struct service {
	const struct serve_options *options;
	struct nbdt_server *server;
	struct exports exports;
	struct listeners listeners;
	struct user user;
	struct cleaner cleaner;
	char *pid_file;     /* or NULL */
	sigset_t signals;   /* handled by a thread of their own */
	sigset_t before;    /* the mask that we came with */
	pid_t command;      /* of --run, or 0 */
	int command_status; /* once it has ended */
};

/* From any of the server's threads. Clients that merely leave are no news. */
static void note_client(const char *client, int result, const struct nbdt_error *err, void *arg)
{
	(void)arg;
	if (result)
		say_notice("%s: %s", client, err->text);
}

/* What a caller has ignored, as nohup(1) does, is none of ours. */
static void block_signals(struct service *service)
{
	static const int endings[] = { SIGHUP, SIGINT, SIGQUIT };
	struct sigaction action;

	sigemptyset(&service->signals);
	sigaddset(&service->signals, SIGTERM);
	sigaddset(&service->signals, SIGCHLD);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (!sigaction(endings[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(&service->signals, endings[i]);
	sigprocmask(SIG_BLOCK, &service->signals, &service->before);
	signal(SIGPIPE, SIG_IGN);
	/* Where it is ignored, the kernel would reap the command without telling us. */
	signal(SIGCHLD, SIG_DFL);
}

static bool has_ended(struct service *service)
{
	int status;

	if (!service->command || waitpid(service->command, &status, WNOHANG) != service->command)
		return false;
	service->command_status =
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return true;
}

/*
 * Returns when the server shall stop. With a command, that is when it has ended: SIGTERM and SIGHUP
 * are passed on to it, while a terminal sends the others to it as well as to us.
 */
static void await_end(struct service *service)
{
	for (;;) {
		siginfo_t signal;
		int number = sigwaitinfo(&service->signals, &signal);

		if (number == SIGCHLD && has_ended(service))
			return;
		if (number < 0 || number == SIGCHLD)
			continue;
		if (!service->command)
			return;
		if (number == SIGTERM || number == SIGHUP)
			kill(service->command, number);
	}
}

static void *watch(void *arg)
{
	struct service *service = arg;

	await_end(service);
	notify("STOPPING=1", "letting the clients go");
	cleaner_remove_socket(&service->cleaner);
	listeners_remove(&service->listeners);
	nbdt_server_stop(service->server);
	return NULL;
}

static char *uri_of(const struct service *service, size_t index)
{
	return listener_uri(service->listeners.sockets[index],
		service->options->server.tls == NBDT_TLS_REQUIRE);
}

static void set_variable(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

/* As nbdkit has it. */
static void exec_command(const struct service *service)
{
	CLEANUP_FREE char *text = uri_of(service, 0);
	struct nbdt_uri *uri = NULL;

	if (text)
		nbdt_uri_parse(text, &uri, NULL);
	set_variable("uri", text);
	set_variable("unixsocket", uri ? uri->socket : NULL);
	set_variable("port", uri ? uri->port : NULL);
	nbdt_uri_free(uri);
	signal(SIGPIPE, SIG_DFL);
	/* It makes no sense without us, however we end. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigprocmask(SIG_SETMASK, &service->before, NULL);
	execl("/bin/sh", "sh", "-c", service->options->run, (char *)NULL);
	say_error("/bin/sh: %m");
}

static enum command_status start_command(struct service *service)
{
	service->command = fork();
	if (!service->command) {
		exec_command(service);
		_exit(STATUS_CAPTIVE_FAILED);
	}
	if (service->command > 0)
		return STATUS_DONE;
	service->command = 0;
	say_error("cannot fork: %m");
	return STATUS_FAILED;
}

/* Each client has several descriptors. The command, which may use select(2), was started before. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* On stdout, unless that is the command's, or those who gave us the sockets know them. */
static enum command_status print_uris(const struct service *service)
{
	if (service->command || service->listeners.activated)
		return STATUS_DONE;
	for (size_t i = 0; i < service->listeners.count; i++) {
		CLEANUP_FREE char *uri = uri_of(service, i);

		if (uri)
			printf("%s\n", uri);
	}
	return finish_stdout(STATUS_DONE);
}

/* A private folder is the user's own. */
static enum command_status keep_cleaner(struct service *service)
{
	const struct listeners *listeners = &service->listeners;
	const char *socket = listeners->folder ? NULL : listeners->path;

	if (!service->user.name || geteuid() || (!socket && !service->pid_file))
		return STATUS_DONE;
	return cleaner_start(&service->cleaner, socket, service->pid_file);
}

/* Opens all that may need root, gives that up, and lets the world know. */
static enum command_status bring_up(struct service *service)
{
	const struct serve_options *options = service->options;
	struct nbdt_error err;

	block_signals(service);
	notify_open();
	enum command_status status = user_find(options->user, &service->user);
	if (!status && nbdt_server_new(&options->server, &service->server, &err))
		status = report(NULL, &err);
	if (!status)
		status = exports_open(options, service->server, &service->exports);
	if (!status)
		status = listeners_open(options, &service->user, &service->listeners);
	if (!status && options->pid_file
		&& pid_file_write(options->pid_file, &service->pid_file, &err))
		status = report(NULL, &err);
	if (!status)
		status = keep_cleaner(service);
	if (!status)
		status = user_become(&service->user);
	if (!status && options->run)
		status = start_command(service);
	if (!status)
		status = print_uris(service);
	return status;
}

static enum command_status serve(struct service *service)
{
	enum command_status status = STATUS_DONE;
	struct nbdt_error err;
	pthread_t thread;

	raise_descriptor_limit();
	if (pthread_create(&thread, NULL, watch, service)) {
		say_error("cannot start a thread");
		return STATUS_FAILED;
	}
	notify("READY=1", "serving %zu export%s", service->exports.count,
		service->exports.count == 1 ? "" : "s");
	size_t count = service->listeners.count;
	service->listeners.count = 0;
	if (nbdt_server_accept(service->server, service->listeners.sockets, count, note_client,
		    NULL, &err)) {
		status = report(NULL, &err);
		kill(getpid(), SIGTERM);
	}
	pthread_join(thread, NULL);
	return status;
}

static void tear_down(struct service *service)
{
	nbdt_server_free(service->server);
	exports_close(&service->exports);
	listeners_close(&service->listeners);
	cleaner_finish(&service->cleaner);
	pid_file_remove(service->pid_file);
	notify_close();
}

static enum command_status serve_in_foreground(struct service *service)
{
	enum command_status status = bring_up(service);
	if (!status)
		status = serve(service);
	tear_down(service);
	return status;
}

static enum command_status serve_in_background(struct service *service, int link)
{
	const struct readiness readiness = { .status = bring_up(service) };

	/* Who is told of a failure finds nothing left of us. */
	if (readiness.status)
		tear_down(service);
	bool told = !background_report(link, &readiness);
	close(link);
	if (readiness.status)
		return readiness.status;
	background_settle();
	/* Without a parent nobody knows of us. */
	enum command_status status = told ? serve(service) : STATUS_FAILED;
	tear_down(service);
	return status;
}

int serve_run(const struct serve_options *options)
{
	struct service service = { .options = options };
	int link;

	if (options->foreground || options->run || listeners_are_given()) {
		enum command_status status = serve_in_foreground(&service);

		if (options->run && status)
			return STATUS_CAPTIVE_FAILED;
		return options->run ? service.command_status : (int)status;
	}
	int pid = background_fork(&link);
	if (pid < 0) {
		say_error("cannot fork: %s", strerrordesc_np(-pid));
		return STATUS_FAILED;
	}
	if (!pid)
		exit((int)serve_in_background(&service, link));
	return (int)background_wait(link).status;
}
