/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnbdtools, the kernel's half: NBD devices of this machine, through generic netlink, the
 * ioctls and sysfs. Nothing here knows the NBD protocol; sockets come in ready for transmission.
 *
 * Every function that can fail returns 0 or a negative errno and, where it takes a
 * struct nbdt_error, fills it with a sentence for a person. That argument may be NULL.
 * Functions may be called from any thread; an object is used by one thread at a time.
 */
#ifndef NBDTOOLS_KERNEL_H
#define NBDTOOLS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Errors */

struct nbdt_error {
	int code;       /* negative errno, the same that the function returned; 0: no error */
	char text[512]; /* one sentence, no newline: the cause, and where it helps the remedy */
};

/*
 * Fills ERR (may be NULL) with CODE and a formatted sentence, and returns CODE, so that a function
 * can end with `return nbdt_error_set(err, -EBUSY, "…")`. Control characters that arrive in
 * arguments are replaced by '?': a peer's words may end up on a terminal.
 */
int nbdt_error_set(struct nbdt_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As nbdt_error_set(), with ": " and strerror(-CODE) after the sentence. */
int nbdt_error_errno(struct nbdt_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Connecting: drivers/block/nbd.c, nbd_genl_connect() and friends */

#define NBDT_INDEX_ANY (-1) /* the kernel chooses a free device, or makes one */

/* Bits of client_flags, from linux/nbd.h. */
#define NBDT_DESTROY_ON_DISCONNECT (UINT64_C(1) << 0)
#define NBDT_DISCONNECT_ON_CLOSE (UINT64_C(1) << 1)

struct nbdt_kernel_config {
	int index;              /* device number, or NBDT_INDEX_ANY */
	const int *sockets;     /* connected TCP or Unix stream sockets, in transmission */
	size_t socket_count;    /* at least 1; more than 1 needs NBD_FLAG_CAN_MULTI_CONN */
	uint64_t size;          /* bytes; a multiple of block_size */
	uint32_t block_size;    /* bytes, a power of two: 512 to the page size */
	uint64_t timeout;       /* seconds for one request; 0: the kernel only warns */
	uint64_t dead_timeout;  /* seconds that I/O waits for a dead link's replacement */
	uint16_t server_flags;  /* the NBD transmission flags of the export */
	uint64_t client_flags;  /* NBDT_DESTROY_ON_DISCONNECT, NBDT_DISCONNECT_ON_CLOSE */
	const char *identifier; /* backend identifier kept by the kernel (5.14 on), or NULL */
};

/*
 * Gives connected sockets to the kernel (NBD_CMD_CONNECT) and stores the number of the device in
 * *INDEX. The kernel takes its own references; the caller closes its descriptors when it likes.
 * An explicit index that is only open for a moment, as udev's probing does, is tried again for up
 * to three seconds. Loads the module when needed.
 * Errors: -EALREADY the index is connected (the text says to what); -EBUSY it is held open by
 * another program, or still in use after a disconnect; -EPERM needs CAP_SYS_ADMIN; -ENODEV no nbd
 * driver; -EPFNOSUPPORT the driver has no netlink family (in this network namespace): use
 * nbdt_ioctl_attach(); -EINVAL refused values or sockets; -EBADF, -ENOTSOCK, -ENOTCONN bad sockets;
 * -ETIMEDOUT as under nbdt_kernel_disconnect().
 *
 * With NBDT_DESTROY_ON_DISCONNECT and an explicit index, a CONNECT that fails deletes an idle
 * device of that number. The process id that sysfs shows is that of the caller.
 */
int nbdt_kernel_connect(
	const struct nbdt_kernel_config *config, int *index, struct nbdt_error *err);

/*
 * Disconnects a device (NBD_CMD_DISCONNECT), whoever attached it and whoever uses it. Flushes
 * nothing; I/O in flight fails with EIO. A device that is not connected is no error. Where the
 * family cannot be found, by ioctl.
 * Errors: -ENODEV no such device; -EPERM; -ETIMEDOUT not done within ten
 * seconds: the kernel is stuck sending to a server that does not read, as it may be for ever where
 * the device has no timeout. It goes on in the background, and shutdown(2) of either end of the
 * connection, or the server's end, frees it. Until then every request of generic netlink, of
 * whatever family and process, hangs in the kernel, unkillable; the functions of this library give
 * -ETIMEDOUT after ten seconds instead, because they send from a child process.
 */
int nbdt_kernel_disconnect(int index, struct nbdt_error *err);

struct nbdt_kernel_change {
	const uint64_t *size;         /* bytes; each pointer may be NULL: leave it as it is */
	const uint32_t *block_size;   /* bytes */
	const uint64_t *timeout;      /* seconds */
	const uint64_t *dead_timeout; /* seconds */
	const uint64_t *client_flags; /* replaces both flags */
	const int *sockets;           /* each replaces one dead link */
	size_t socket_count;
	const char *identifier; /* the one that the device was connected with, if any */
};

/*
 * Changes a connected device (NBD_CMD_RECONFIGURE).
 * Success does not mean that a link was replaced: where none is dead, the kernel drops the socket.
 * Errors: -ENOTCONN it is not connected by netlink; -EINVAL refused values, or another identifier;
 * -EPERM; -ENODEV; -EPFNOSUPPORT; those of nbdt_kernel_connect() for sockets; -ETIMEDOUT.
 */
int nbdt_kernel_reconfigure(
	int index, const struct nbdt_kernel_change *change, struct nbdt_error *err);

struct nbdt_kernel_status {
	int index;
	bool busy; /* the kernel's "connected": connected, or merely opened by somebody */
};

/*
 * Asks the driver for the status of one device (NBD_CMD_STATUS) or, with NBDT_INDEX_ANY, of all.
 * *LIST is allocated, for free(), and NULL if there are none; COUNT its length. Needs no
 * privileges. The kernel's answer breaks near 3270 devices.
 * Errors: -ENODEV, -EPFNOSUPPORT, -ENOMEM, -ETIMEDOUT.
 */
int nbdt_kernel_get_status(
	int index, struct nbdt_kernel_status **list, size_t *count, struct nbdt_error *err);

/*
 * Tells whether the driver can be reached by netlink from here: 1 yes, 0 no, by ioctl alone. Loads
 * nothing. The answer may change while the program runs: who has to act on it asks once.
 * Errors, which leave the question open: -ENODEV the driver is not loaded; -ENOMEM; -ETIMEDOUT as
 * under nbdt_kernel_disconnect().
 */
int nbdt_kernel_has_netlink(struct nbdt_error *err);

/*
 * Makes sure that the nbd driver is there, by modprobe if need be.
 * Errors: -ENODEV it cannot be loaded (the text has modprobe's own words); -EPERM.
 */
int nbdt_kernel_load_module(struct nbdt_error *err);

/* Link-dead events (NBD_CMD_LINK_DEAD on the multicast group): one for each dead socket. */

struct nbdt_link_events;

/* Subscribes; needs no privileges, but the initial network namespace. */
int nbdt_link_events_open(struct nbdt_link_events **events, struct nbdt_error *err);
/* A descriptor that polls readable when an event waits. */
int nbdt_link_events_fd(const struct nbdt_link_events *events);
/*
 * Takes the next event without waiting: 0 and *INDEX, or -EAGAIN when there is none. -ENOBUFS: some
 * were lost, because they were not taken in time; any link may be dead.
 */
int nbdt_link_events_next(struct nbdt_link_events *events, int *index, struct nbdt_error *err);
void nbdt_link_events_close(struct nbdt_link_events *events);

/* The ioctl path: for kernels before 4.12 and network namespaces without the netlink family */

struct nbdt_ioctl_session;

/*
 * Attaches by NBD_SET_SOCK … NBD_DO_IT, from a thread of its own that stays in NBD_DO_IT with all
 * signals blocked; the process must live as long as the device. With NBDT_INDEX_ANY free devices
 * are claimed one by one; none can be made. Returns once the device is up. dead_timeout,
 * client_flags and identifier do not exist on this path and are ignored.
 * Errors: as nbdt_kernel_connect(); -ECONNRESET the server hung up at once. On failure nothing
 * stays attached.
 */
int nbdt_ioctl_attach(const struct nbdt_kernel_config *config, struct nbdt_ioctl_session **session,
	int *index, struct nbdt_error *err);
/* A descriptor that polls readable once the session has ended. */
int nbdt_ioctl_fd(const struct nbdt_ioctl_session *session);
/*
 * Asks the kernel to say goodbye and hang up (NBD_DISCONNECT, NBD_CLEAR_SOCK); does not wait for
 * the end of the session, but may have to for a server that does not read: not from a thread that
 * serves the device. After the end it does nothing and returns 0.
 */
int nbdt_ioctl_disconnect(struct nbdt_ioctl_session *session, struct nbdt_error *err);
/* Waits for the end of the session, cleans the device, frees the session. */
void nbdt_ioctl_finish(struct nbdt_ioctl_session *session);

/* Devices as sysfs shows them: Documentation/ABI of block devices, and nbd.c's pid and backend */

enum nbdt_device_state {
	NBDT_DEVICE_FREE,         /* no pid, nobody has it open */
	NBDT_DEVICE_OPEN,         /* no pid, but the driver says busy: merely open */
	NBDT_DEVICE_CONNECTED,    /* pid present */
	NBDT_DEVICE_DISCONNECTED, /* pid present, but the connection is gone: still in use */
};

struct nbdt_device_info {
	int index;
	unsigned int major, minor;
	enum nbdt_device_state state;
	uint64_t size;            /* bytes; 0 when free */
	uint32_t block_size;      /* logical, bytes */
	uint32_t max_sectors_kb;  /* KiB of one request */
	bool read_only;
	pid_t pid;                /* the process that connected it, often gone by now; 0: none */
	unsigned int partitions;  /* number of partition nodes known to the kernel */
	char backend[4096];       /* backend identifier, "" when there is none */
};

/*
 * Reads one device, or all that exist in order of number. Needs no privileges and no module: a
 * machine without one has no devices. *LIST is for free(). NBDT_DEVICE_DISCONNECTED is told of
 * ioctl attachments to everybody, of netlink ones to root alone: for others they stay CONNECTED.
 * The question leaves a line in the kernel's log where the answer is yes.
 * Errors: -ENODEV no such device; -ENOMEM.
 */
int nbdt_device_get(int index, struct nbdt_device_info *info, struct nbdt_error *err);
int nbdt_device_list(struct nbdt_device_info **list, size_t *count, struct nbdt_error *err);

/*
 * Reads "nbd0", "/dev/nbd0" or a path to such a node as a device number. A bare number is taken
 * only with BARE. Returns the number, or -EINVAL if TEXT does not name an NBD device. A partition
 * ("nbd0p1") does not name a device. "nbd0" and "/dev/nbd0" need not exist.
 */
int nbdt_device_parse(const char *text, bool bare);

/*
 * Sets the largest request that the kernel will send, in bytes; more than it can is cut, and what
 * does not fill a page or a logical block.
 * Errors: -EINVAL less than a page: the kernel cannot keep to it; -ENODEV; -EACCES.
 */
int nbdt_device_set_max_request(int index, uint32_t bytes, struct nbdt_error *err);

/*
 * Waits until an attached device is usable: node there, partitions scanned (opening the device,
 * which reads from the server) with their nodes there, and udev done with its events. At most
 * TIMEOUT seconds; -ETIMEDOUT then. Without a running udev it does not wait for it.
 * Errors: -ENOTCONN it is not attached, or not any more; -ENODEV.
 */
int nbdt_device_settle(int index, unsigned int timeout, struct nbdt_error *err);

/*
 * Waits until a disconnected device is free (its pid gone), at most TIMEOUT seconds, then opens it
 * once, which drops stale partition nodes, and lets udev finish.
 * Errors: -EBUSY still open by somebody at the end of the time.
 */
int nbdt_device_wait_free(int index, unsigned int timeout, struct nbdt_error *err);

/*
 * Sends a "change" uevent for a device and for each of its partitions. nbdt_attach() and
 * nbdt_detach() do so once the record is there, or gone: the kernel's own events come earlier, and
 * rules that read the record would see that of the past.
 * Errors: -ENODEV no such device; -EACCES; -EROFS sysfs is read-only here, as in containers.
 */
int nbdt_device_announce(int index);

/*
 * Waits until udev has worked off all events that were sent before, at most TIMEOUT seconds:
 * -ETIMEDOUT then. Returns at once where no udev runs.
 */
int nbdt_udev_settle(unsigned int timeout);

/*
 * Writes who uses a device into TEXT: mount points, swap, holders (dm, md, loop, nbd-loop), of the
 * disk and of its partitions, e.g. "/dev/nbd0p1 is mounted on /mnt". Returns how many users there
 * are; 0 leaves TEXT empty. Users that only have the node open are not seen.
 */
int nbdt_device_users(int index, char *text, size_t size);

/* The same for any block device with this number, disk or partition. */
int nbdt_block_users(unsigned int major, unsigned int minor, char *text, size_t size);

/*
 * Writes the mount points of a device and its partitions into TEXT, separated by ", ". Returns how
 * many there are; 0 leaves TEXT empty.
 */
int nbdt_device_mountpoints(int index, char *text, size_t size);

/*
 * Claims a device for itself: opens the whole disk with O_EXCL, which the kernel refuses while it
 * or a partition is mounted, swapped on or held, and locks it, which waits for udev's probing to
 * end and keeps it from starting. Returns a descriptor for the caller to close: better before a
 * disconnect than after, since any open() in between would make the kernel read a partition table
 * from a device without a server, and log I/O errors (nbd.c, nbd_open()). Read-only, because the
 * close of a writer makes udev probe again.
 * Errors: -EBUSY (the text names the users), others of open(2); -ETIMEDOUT the open did not return
 * within TIMEOUT seconds, as while the kernel looks for partitions and the server does not answer.
 */
int nbdt_device_claim(int index, unsigned int timeout, struct nbdt_error *err);

/*
 * Writes back what the page cache holds for a device, its partitions and (as root) the filesystems
 * mounted from them, and flushes it, for at most TIMEOUT seconds. After that a process of ours
 * may stay in the kernel, with the device open, until the device is disconnected.
 * Errors: those of fsync(2); -ETIMEDOUT: the server does not answer.
 */
int nbdt_device_flush(int index, unsigned int timeout, struct nbdt_error *err);

/* Records: what this suite knows about the devices that it attached, in NBDT_RUN_DIR */

#ifndef NBDT_RUN_DIR
#define NBDT_RUN_DIR "/run/nbd-tools"
#endif

enum nbdt_record_kind {
	NBDT_KIND_LOOP,   /* an image file, served by a process of ours */
	NBDT_KIND_REMOTE, /* an export of a server */
};

struct nbdt_record {
	int index;
	enum nbdt_record_kind kind;
	char *name;           /* of the entry that it was attached by, or NULL */
	char *source;         /* absolute path, URI without secrets, or caller's identifier */
	char uuid[37];        /* of this attachment, lower case with dashes */
	pid_t pid;            /* of the resident process ("keeper"); 0: there is none */
	uint64_t start_time;  /* of that process, in clock ticks after boot (/proc/PID/stat) */
	unsigned int connections;
	uint64_t timeout;     /* seconds */
	bool read_only;
	bool ioctl;           /* attached by the ioctls */
	/* NBDT_KIND_LOOP only */
	uint64_t file_dev, file_ino; /* of the image */
	uint64_t offset;             /* bytes */
	uint64_t size_limit;         /* bytes; 0: up to the end */
	bool direct_io;
};

#define NBDT_MAX_ENTRY_NAME 64u /* bytes */

/*
 * Is it a name that an entry can have? Letters, digits and "._+-:", not beginning with '.' or '-';
 * a ':' only in those of NBDT_RUN_DIR/hotplug. A record has no other.
 */
bool nbdt_entry_name_valid(const char *name);

/* Is the device's keeper there, and is the kernel's attachment still the one of the record? */
enum nbdt_record_life {
	NBDT_RECORD_LIVE,
	NBDT_RECORD_DEAD,  /* the device is attached, but its keeper is gone */
	NBDT_RECORD_STALE, /* the device is not attached any more, or by somebody else */
};

/* Fills RECORD's uuid with a new one, and pid and start_time with those of this process. */
int nbdt_record_init(struct nbdt_record *record, struct nbdt_error *err);

/*
 * The lock of NBDT_RUN_DIR (flock on its file "lock", 0600): held while overlaps are checked, a
 * device is attached and its record written. Creates the folder (0755). Returns a descriptor,
 * close() unlocks. Writing and removing records needs no lock of the caller.
 * Errors: -EACCES, -EPERM not privileged; -ETIMEDOUT after 60 seconds.
 */
int nbdt_record_lock(struct nbdt_error *err);

/* Writes nbdN.json: to a temporary name, then renamed. */
int nbdt_record_write(const struct nbdt_record *record, struct nbdt_error *err);
/*
 * Reads nbdN.json. -ENOENT there is none; -EINVAL it is damaged. nbdt_record_free() afterwards.
 */
int nbdt_record_read(int index, struct nbdt_record *record, struct nbdt_error *err);
void nbdt_record_free(struct nbdt_record *record);
/*
 * Removes record and control socket, if the record still has this UUID (NULL: any). Returns 1 if
 * there was one to remove, else 0 or a negative errno.
 */
int nbdt_record_remove(int index, const char *uuid, struct nbdt_error *err);
enum nbdt_record_life nbdt_record_check(
	const struct nbdt_record *record, const struct nbdt_device_info *info);

/* "nbd-tools:UUID:SOURCE" for the kernel, cut to what it takes, for free(); NULL: no memory. */
char *nbdt_record_identifier(const struct nbdt_record *record);
/* The SOURCE part of such an identifier, or NULL if it is none of ours. Points into IDENTIFIER. */
const char *nbdt_record_identifier_source(const char *identifier);

#ifdef __cplusplus
}
#endif

#endif
