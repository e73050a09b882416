/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnbdtools: the NBD protocol from both sides, devices to serve, and their attachment to Linux.
 *
 * Clauses in parentheses are sections of the NBD specification (doc/proto.md and doc/uri.md of
 * github.com/NetworkBlockDevice/nbd).
 *
 * Every function that can fail returns 0 or a negative errno and, where it takes a
 * struct nbdt_error, fills it with a sentence for a person. That argument may be NULL.
 * The library never prints, never exits, handles no signals and keeps no global state.
 * Different threads may use different objects; where one object may be shared, it says so.
 */
#ifndef NBDTOOLS_H
#define NBDTOOLS_H

#include <nbdtools-kernel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits of the protocol ("Values", "String encoding") */

#define NBDT_DEFAULT_PORT "10809"
#define NBDT_MAX_STRING 4096u                /* bytes in an export name or description */
#define NBDT_MAX_PAYLOAD (32u * 1024 * 1024) /* bytes in a READ or WRITE without negotiation */

/* Transmission flags of an export ("Transmission flags") */

#define NBDT_FLAG_READ_ONLY (1u << 1)
#define NBDT_FLAG_SEND_FLUSH (1u << 2)
#define NBDT_FLAG_SEND_FUA (1u << 3)
#define NBDT_FLAG_ROTATIONAL (1u << 4)
#define NBDT_FLAG_SEND_TRIM (1u << 5)
#define NBDT_FLAG_SEND_WRITE_ZEROES (1u << 6)
#define NBDT_FLAG_SEND_DF (1u << 7)
#define NBDT_FLAG_CAN_MULTI_CONN (1u << 8)
#define NBDT_FLAG_SEND_CACHE (1u << 10)
#define NBDT_FLAG_SEND_FAST_ZERO (1u << 11)

/* Flags of a client's requests ("Command flags") */

#define NBDT_CMD_FLAG_FUA (1u << 0)       /* write, trim, zero: persistent when it returns */
#define NBDT_CMD_FLAG_NO_HOLE (1u << 1)   /* zero: leave the space allocated */
#define NBDT_CMD_FLAG_DF (1u << 2)        /* read: the server must not fragment its replies */
#define NBDT_CMD_FLAG_REQ_ONE (1u << 3)   /* block status: one extent of each context */
#define NBDT_CMD_FLAG_FAST_ZERO (1u << 4) /* zero: fail at once where it would be slow */

/* What is where: extents of a metadata context ("Metadata querying") */

struct nbdt_extent {
	uint64_t length; /* bytes */
	uint64_t flags;  /* the context's; of base:allocation those that follow */
};

#define NBDT_EXTENT_HOLE (1u << 0) /* not allocated */
#define NBDT_EXTENT_ZERO (1u << 1) /* reads as zeroes */

/* URIs (doc/uri.md) */

enum nbdt_transport_kind {
	NBDT_TRANSPORT_TCP,
	NBDT_TRANSPORT_UNIX,
	NBDT_TRANSPORT_VSOCK,
};

struct nbdt_uri {
	enum nbdt_transport_kind transport;
	bool tls;                /* nbds: TLS is required */
	char *host;              /* TCP: name or address, without brackets; vsock: the CID */
	char *port;              /* TCP, vsock: decimal, NBDT_DEFAULT_PORT if the URI has none */
	char *socket;            /* Unix: path */
	char *export_name;       /* "" for the default export */
	char *user;              /* TLS-PSK user name, or NULL */
	char *tls_certificates;  /* folder, or NULL */
	char *tls_psk_file;      /* path, or NULL */
	char *tls_hostname;      /* or NULL */
	char *tls_type;          /* or NULL */
	bool tls_verify_peer;    /* true unless the URI says otherwise */
};

/*
 * Reads a URI. An unknown scheme or parameter, a parameter given twice, a broken escape, a NUL, a
 * fragment, a port that is not from 1 to 65535 (vsock: 2^32 - 2), an export name over 4096 bytes or
 * not UTF-8 is -EINVAL. *URI is for nbdt_uri_free().
 */
int nbdt_uri_parse(const char *text, struct nbdt_uri **uri, struct nbdt_error *err);

/* Builds what the URI forms of TCP and Unix sockets would give. PORT NULL: the default port. */
int nbdt_uri_tcp(const char *host, const char *port, const char *export_name,
	struct nbdt_uri **uri, struct nbdt_error *err);
int nbdt_uri_unix(const char *socket, const char *export_name, struct nbdt_uri **uri,
	struct nbdt_error *err);

/*
 * The URI as text, escaped, for free(). Without user and TLS parameters: fit to be shown. NULL: no
 * memory.
 */
char *nbdt_uri_format(const struct nbdt_uri *uri);
void nbdt_uri_free(struct nbdt_uri *uri);

/*
 * "10M", "1GiB", "4096", "1KB" to bytes: K, M, G, T, P, E and KiB … count 1024, KB … 1000.
 * -EINVAL not a size; -ERANGE over 2^63 - 1.
 */
int nbdt_parse_size(const char *text, uint64_t *bytes);

/*
 * Entries: attachments that have a name, described in ETC/nbdtab (nbd-client's table), in
 * ETC/nbd/NAME.conf, and in RUN/hotplug/NAME.conf, where udev's helper files the URIs of events.
 * Syntax and meaning are in nbd.conf(5).
 */

/* What attaches an entry without anybody asking for it by name. */
enum nbdt_auto {
	NBDT_AUTO_NO,
	NBDT_AUTO_BOOT,
	NBDT_AUTO_MODULE, /* the loading of the nbd module */
};

struct nbdt_entry {
	char *name;             /* NULL: it is refused, and not even its name could be read */
	char *origin;           /* "/etc/nbdtab:3", "/etc/nbd/disk.conf" */
	enum nbdt_record_kind kind;
	/* NULL-terminated: URIs, alternatives in this order; or the path of one image */
	char **sources;
	int index;              /* device number, or NBDT_INDEX_ANY */
	char **options;         /* NULL-terminated: long options of nbd-connect or nbd-loop */
	enum nbdt_auto auto_attach;
	struct nbdt_error error; /* code not 0: it is refused, and the text says where and why */
};

/*
 * Reads all entries, refused ones included, in the order nbdtab, ETC/nbd, RUN/hotplug, the files of
 * a folder sorted by name. ETC: "/etc"; RUN: NBDT_RUN_DIR; NULL leaves one out. What does not exist
 * has no entries; a file that cannot be read is a refused entry. Values of options are not judged.
 * *ENTRIES is for nbdt_entries_free(). Errors: -ENOMEM.
 */
int nbdt_entries_read(const char *etc, const char *run, struct nbdt_entry **entries, size_t *count,
	struct nbdt_error *err);
void nbdt_entries_free(struct nbdt_entry *entries, size_t count);

/*
 * Finds one entry. ENTRY is for nbdt_entry_clear(), also after an error.
 * Errors: -ENOENT there is none of this name; -EINVAL it is refused (the text says where and why);
 * -ENOMEM.
 */
int nbdt_entry_find(const char *etc, const char *run, const char *name, struct nbdt_entry *entry,
	struct nbdt_error *err);
void nbdt_entry_clear(struct nbdt_entry *entry);

/* TLS ("TLS support"), 1.2 at least: by X.509 certificates, or by pre-shared keys (PSK) */

struct nbdt_tls_options {
	/*
	 * Folder with PEM files, named as libnbd, nbdkit and QEMU have them. Client: ca-cert.pem,
	 * and if there is one client-cert.pem with client-key.pem; NULL: /etc/pki/libnbd for root,
	 * ~/.pki/libnbd or ~/.config/pki/libnbd for others, or else the system's CAs. Server:
	 * server-cert.pem, server-key.pem, and for verify_peer ca-cert.pem. Both: ca-crl.pem, if
	 * there is one. Not with psk_file.
	 */
	const char *certificates;
	/* As psktool(1) writes it: a line of USER:HEXADECIMAL-KEY for each user. Up to 1 MiB. */
	const char *psk_file;
	const char *user;     /* client with PSK: whose key; NULL: of the effective user ID */
	const char *hostname; /* client with certificates: name or address that the server's has */
	/*
	 * Client: the server's certificate must be good; leave it to a person to say false. Server:
	 * clients must have a good certificate. Without effect with PSK, which always proves both.
	 */
	bool verify_peer;
};

/* Client */

struct nbdt_export {
	char *name;
	char *description;        /* or NULL: the server gave none */
	uint64_t size;            /* bytes */
	uint16_t flags;           /* transmission flags ("Transmission flags") */
	bool has_block_sizes;     /* the server gave the three that follow */
	uint32_t block_minimum;   /* bytes; otherwise 1 (512 is safer), 4096, 32 MiB */
	uint32_t block_preferred;
	uint32_t block_maximum;
};

void nbdt_export_clear(struct nbdt_export *found);

struct nbdt_client;

/*
 * Connects to the server that URI names and does the first phase of the handshake ("Newstyle
 * negotiation"), all within TIMEOUT milliseconds, which also bounds each later operation. Each
 * address of a host name is tried. A resolver that outlasts TIMEOUT is left behind in a thread
 * that ends by itself. An oldstyle server leaves the client in the transmission phase at once.
 *
 * A URI of nbds or nbds+unix does nbdt_client_start_tls() as well, with what the URI has for that;
 * a server without TLS is refused. The certificate's name has to be tls-hostname, or else the host,
 * or else "localhost".
 *
 * Errors: those of connect(2); -ETIMEDOUT; -EPROTO the peer is no NBD server or breaks the
 * protocol; -EOPNOTSUPP vsock and anonymous TLS, which this version does not speak; -ENAMETOOLONG
 * the path of a Unix socket; -EAI… as -EHOSTUNREACH with the resolver's words; -EINVAL parameters
 * of TLS that don't fit, or in a URI of nbd; those of nbdt_client_start_tls().
 */
int nbdt_client_connect(const struct nbdt_uri *uri, unsigned int timeout,
	struct nbdt_client **client, struct nbdt_error *err);

/* The same over a connected socket, which the client owns from then on, also when this fails. */
int nbdt_client_adopt(int socket, unsigned int timeout, struct nbdt_client **client,
	struct nbdt_error *err);

/*
 * Encrypts the connection (NBD_OPT_STARTTLS), before anything else is asked of the server.
 * Errors: of open(2) and -EINVAL for what OPTIONS name, after which another try may follow;
 * -EREMOTEIO the server has no TLS, or refuses this client; -EKEYREJECTED its certificate is not
 * good; -EPROTO; -ETIMEDOUT; -ECONNRESET. After -EREMOTEIO it is for the caller not to go on
 * without TLS. A server that does not like the client's certificate may say so only when it is
 * asked something: -ECONNRESET then, with its words.
 */
int nbdt_client_start_tls(struct nbdt_client *client, const struct nbdt_tls_options *options,
	struct nbdt_error *err);
bool nbdt_client_uses_tls(const struct nbdt_client *client);

/*
 * From now on all that is done with this client, but for closing it, ends after TIMEOUT
 * milliseconds, with -ETIMEDOUT, even where the client's own timeout is for each reply: for those
 * who do not trust a server to come to an end.
 */
void nbdt_client_limit(struct nbdt_client *client, unsigned int timeout);

/* How the server negotiates. */
enum nbdt_handshake {
	NBDT_HANDSHAKE_OLDSTYLE,
	NBDT_HANDSHAKE_NEWSTYLE,       /* not fixed: EXPORT_NAME only */
	NBDT_HANDSHAKE_FIXED_NEWSTYLE,
};
enum nbdt_handshake nbdt_client_handshake(const struct nbdt_client *client);

/* What a client may use beyond the plain protocol. */
#define NBDT_WANT_STRUCTURED (1u << 0) /* structured replies, which metadata contexts need */
#define NBDT_WANT_EXTENDED (1u << 1)   /* extended headers, an extension: 64-bit lengths */

/*
 * Asks for what WISHES has (NBD_OPT_STRUCTURED_REPLY, NBD_OPT_EXTENDED_HEADERS), before an export
 * is chosen. What the server refuses or does not know is no error: the functions below tell. With
 * both wishes, structured replies are asked for where extended headers cannot be had. The
 * connection cannot be given to the kernel then: nbdt_client_take_socket() refuses.
 * Errors: -EPROTO; -ETIMEDOUT; -ECONNRESET; -EINVAL in another phase. An oldstyle server, and a
 * newstyle one that is not fixed, has nothing, and is not asked.
 */
int nbdt_client_negotiate(struct nbdt_client *client, unsigned int wishes, struct nbdt_error *err);
/* True if replies are structured, as they are with extended headers too. */
bool nbdt_client_uses_structured(const struct nbdt_client *client);
bool nbdt_client_uses_extended(const struct nbdt_client *client);

#define NBDT_MAX_CONTEXTS 64u

/* A metadata context that was selected. */
struct nbdt_context {
	const char *name; /* such as "base:allocation" */
	uint32_t id;      /* the server's number for it on this connection */
};

/*
 * Calls EACH for every metadata context of an export that matches one of COUNT queries, or for all
 * if there are none (NBD_OPT_LIST_META_CONTEXT). "base:" asks for all of a namespace. NAME is valid
 * during the call, UTF-8, at most 4096 bytes, and maybe with control characters. A nonzero return
 * of EACH ends the call with that value, the connection being unusable then. When this fails, what
 * EACH was told counts for nothing. Structured replies must have been negotiated.
 * Errors: -EOPNOTSUPP they were not, or the server has no contexts; -EINVAL a query without
 * namespace and colon, over 4096 bytes or not UTF-8, over NBDT_MAX_CONTEXTS queries; -E2BIG the
 * server lists over 100000; otherwise as nbdt_client_info().
 */
int nbdt_client_list_contexts(struct nbdt_client *client, const char *export_name,
	const char *const *queries, size_t count, int (*each)(const char *name, void *arg),
	void *arg, struct nbdt_error *err);

/*
 * Selects those metadata contexts of an export that COUNT queries name, for
 * nbdt_client_block_status(), instead of any selected before (NBD_OPT_SET_META_CONTEXT). Those that
 * the server does not have are left out: nbdt_client_contexts() tells which it has. The export
 * chosen by nbdt_client_go() must be the same, or nothing is selected. Errors: as
 * nbdt_client_list_contexts(), with -E2BIG over NBDT_MAX_CONTEXTS; nothing is selected then, unless
 * it is one of the first two, which are found before the server is asked.
 */
int nbdt_client_set_contexts(struct nbdt_client *client, const char *export_name,
	const char *const *queries, size_t count, struct nbdt_error *err);

/* Those selected, *COUNT of them, valid until the next selection or nbdt_client_go(). */
const struct nbdt_context *nbdt_client_contexts(const struct nbdt_client *client, size_t *count);

/*
 * Calls EACH for every export that the server lists (NBD_OPT_LIST); NAME and DESCRIPTION (or NULL)
 * are valid during the call, and as the server sent them: at most 4096 bytes without NUL, but
 * maybe with control characters or invalid UTF-8. A nonzero return of EACH ends the call with that
 * value, the connection being unusable then.
 * Errors: -EREMOTEIO the server refuses; -EOPNOTSUPP it cannot list; -E2BIG over 100000 exports;
 * -EPROTO; -ETIMEDOUT; -ECONNRESET it hung up. After one of the last four the connection is
 * unusable, for this and the functions below: -EINVAL, as in the wrong phase.
 */
int nbdt_client_list(struct nbdt_client *client,
	int (*each)(const char *name, const char *description, void *arg), void *arg,
	struct nbdt_error *err);

/*
 * Asks about an export (NBD_OPT_INFO), committing to nothing. FOUND is for nbdt_export_clear(). A
 * size over 2^63 - 1, impossible block sizes and flags without HAS_FLAGS are -EPROTO; a maximum is
 * rounded down to whole blocks; unknown flags are cleared. nbd-server may report a size of 0 here.
 * Errors: -ENXIO no such export; -EREMOTEIO the server refuses; -EOPNOTSUPP it has no NBD_OPT_INFO
 * (nbdt_client_go() may still work); -EINVAL a name over 4096 bytes or not UTF-8; -EPROTO;
 * -ETIMEDOUT; -ECONNRESET.
 */
int nbdt_client_info(struct nbdt_client *client, const char *name, struct nbdt_export *found,
	struct nbdt_error *err);

/*
 * Chooses an export and enters the transmission phase (NBD_OPT_GO; NBD_OPT_EXPORT_NAME where GO is
 * not supported). It asks for the block sizes, and so promises to keep to them. On an oldstyle
 * server only the export "" exists. Errors: as nbdt_client_info(), but for -EOPNOTSUPP; after one
 * of -ENXIO and -EREMOTEIO another try may follow, unless the server has no GO: then it says
 * -ENXIO by hanging up.
 */
int nbdt_client_go(struct nbdt_client *client, const char *name, struct nbdt_export *found,
	struct nbdt_error *err);

/*
 * From now on nbdt_client_go() takes NBD_OPT_EXPORT_NAME at once, for servers whose GO does not
 * work: no block sizes are learnt then, and a missing export is told by hanging up. Extended
 * headers need GO all the same.
 */
void nbdt_client_avoid_go(struct nbdt_client *client);

/*
 * Reading and writing an export that nbdt_client_go() has chosen ("Transmission"). Each function
 * returns when all is done. Offsets and lengths are bytes; they must lie inside the export and be
 * multiples of its block_minimum. A length of 0 does nothing. What is long is cut into requests
 * that the server allows, several of which are in flight; the client's timeout is for each reply,
 * not for the whole, which nbdt_client_limit() can bound.
 *
 * Errors: what the server answers: -EPERM, -EIO, -ENOMEM, -EINVAL, -ENOSPC, -EOVERFLOW,
 * -EOPNOTSUPP, -ESHUTDOWN (all that can be done then is to close the client); of several the first.
 * Parts of the range may have been done all the same. Without asking the server: -EINVAL no export
 * was chosen, a range or flags that are not allowed; -EPERM a write to a read-only export;
 * -EOPNOTSUPP a command or flag that the server has not announced. -EPROTO the server broke the
 * protocol, -ETIMEDOUT, -ECONNRESET: the connection is unusable.
 */

/* NBD_CMD_READ. FLAGS: DF, which cuts at 64 KiB. After an error BUFFER's contents are undefined. */
int nbdt_client_pread(struct nbdt_client *client, void *buffer, size_t length, uint64_t offset,
	unsigned int flags, struct nbdt_error *err);

/* NBD_CMD_WRITE. FLAGS: FUA. */
int nbdt_client_pwrite(struct nbdt_client *client, const void *buffer, size_t length,
	uint64_t offset, unsigned int flags, struct nbdt_error *err);

/* NBD_CMD_FLUSH: what was written before is persistent. */
int nbdt_client_flush(struct nbdt_client *client, struct nbdt_error *err);

/* NBD_CMD_TRIM: the range is no longer needed, and may read as anything. FLAGS: FUA. */
int nbdt_client_trim(struct nbdt_client *client, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_error *err);

/*
 * NBD_CMD_WRITE_ZEROES. FLAGS: FUA, NO_HOLE, FAST_ZERO (-EOPNOTSUPP: the server would be no faster
 * than if zeroes were written). Without extended headers it is cut into requests of 1 GiB, as the
 * functions above and below are too.
 */
int nbdt_client_zero(struct nbdt_client *client, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_error *err);

/* NBD_CMD_CACHE: the range will be read soon. */
int nbdt_client_cache(
	struct nbdt_client *client, uint64_t offset, uint64_t length, struct nbdt_error *err);

/*
 * NBD_CMD_BLOCK_STATUS: calls EACH for every extent of the range in every selected metadata
 * context; those of one context come in order, cover the whole range without gaps, and differ from
 * their neighbours in their flags, while those of several contexts are mixed. With FLAGS having
 * REQ_ONE, the server is asked once, and EACH told one extent of each context, which may be shorter
 * than the range. A nonzero return of EACH ends the call with that value once the server's answer
 * is over; EACH is not called again. When this fails, what EACH was told counts for nothing.
 * -EINVAL: no context is selected. CONTEXT and EXTENT are valid during the call.
 */
int nbdt_client_block_status(struct nbdt_client *client, uint64_t offset, uint64_t length,
	unsigned int flags,
	int (*each)(const char *context, uint64_t offset, const struct nbdt_extent *extent,
		void *arg),
	void *arg, struct nbdt_error *err);

/*
 * Takes the socket out of a client in the transmission phase, to give it to the kernel: simple
 * replies were negotiated and no byte was read ahead. The client can only be closed after that.
 * Returns the descriptor, blocking, or -EINVAL in another phase, or after nbdt_client_negotiate()
 * had success: the kernel takes simple replies only. -EOPNOTSUPP with TLS.
 */
int nbdt_client_take_socket(struct nbdt_client *client, struct nbdt_error *err);

/*
 * Says goodbye as the phase demands (NBD_OPT_ABORT, NBD_CMD_DISC), closes and frees. NULL is fine.
 */
void nbdt_client_close(struct nbdt_client *client);

/* Devices: what a server serves */

struct nbdt_device;
struct nbdt_request;

enum nbdt_request_flag {
	NBDT_REQUEST_FUA = 1 << 0,       /* persistent before it completes (NBD_CMD_FLAG_FUA) */
	/* zero: leave the space allocated (NBD_CMD_FLAG_NO_HOLE) */
	NBDT_REQUEST_NO_HOLE = 1 << 1,
	NBDT_REQUEST_FAST_ZERO = 1 << 2, /* zero: -ENOTSUP at once where it would be slow */
	/* -EAGAIN instead of waiting for storage: others would have to wait, too */
	NBDT_REQUEST_NOWAIT = 1 << 3,
};

/* Returned by a device operation that will call nbdt_request_complete() later. */
#define NBDT_PENDING 1

struct nbdt_request {
	uint64_t offset;    /* bytes, inside the device */
	uint64_t length;    /* bytes */
	void *buffer;       /* pread: to fill; pwrite: to store; aligned to 4096; else NULL */
	unsigned int flags; /* enum nbdt_request_flag */
	/*
	 * Set by whoever submits it; called once, from any thread, if the operation returned
	 * NBDT_PENDING.
	 */
	void (*complete)(struct nbdt_request *request, int result);
};

static inline void nbdt_request_complete(struct nbdt_request *request, int result)
{
	request->complete(request, result);
}

/* A range of a device that the server may move without its layers looking at the data. */
struct nbdt_direct {
	int fd;
	uint64_t offset; /* in the descriptor's file */
};

enum nbdt_extents_flag {
	/* For a READ: a hole may be called data where that is found out sooner. Never otherwise. */
	NBDT_EXTENTS_ROUGHLY = 1 << 0,
};

/*
 * The operations of a device. One that is NULL is not offered, and not announced to clients; a
 * device without pwrite is read-only. tests/interop/serve-memory.c is an example.
 *
 * They are called from several threads at a time, also those of one client, on ranges that may
 * overlap: a device locks what it must. Their ranges are not empty, lie inside the device, and are
 * multiples of block_minimum where the client knows it; those that do not may send any. The request
 * and its buffer stay valid until it is completed.
 *
 * Those on requests return 0 when it is done, NBDT_PENDING, or a negative errno, which the client
 * gets: -EPERM (also -EROFS), -ENOMEM, -EINVAL, -ENOSPC (also -EDQUOT, -EFBIG), -EOVERFLOW and
 * -ESHUTDOWN as what they are, all others as EIO ("Error values"). A write that fails may have been
 * done in part.
 *
 * With NBDT_REQUEST_NOWAIT each may return -EAGAIN, having changed nothing, and is called again
 * without it by a thread that may wait. The server sets it while other requests of the client have
 * come: a device that waits all the same keeps those waiting, and one that never waits need not
 * look at it. It is not set for extents.
 */
struct nbdt_device_ops {
	const char *name; /* of this kind of device, for people */
	/* Required. Fills the buffer; what was never written reads as zeroes. */
	int (*pread)(struct nbdt_device *device, struct nbdt_request *request);
	/* Stores the buffer: whoever reads from now on gets it. */
	int (*pwrite)(struct nbdt_device *device, struct nbdt_request *request);
	/*
	 * All that was completed before is persistent when this is: of every client with
	 * can_multi_conn, of this one without. It has no range.
	 */
	int (*flush)(struct nbdt_device *device, struct nbdt_request *request);
	/*
	 * The range is no longer needed. It may read as anything, and the device may do nothing;
	 * what lies beside it stays. It may be all of the device, as with zero and cache.
	 */
	int (*trim)(struct nbdt_device *device, struct nbdt_request *request);
	/*
	 * The range reads as zeroes from now on, by a hole unless NBDT_REQUEST_NO_HOLE is set. With
	 * NBDT_REQUEST_FAST_ZERO, which comes with can_fast_zero only: -ENOTSUP, and nothing done,
	 * where that would take as long as writing them.
	 */
	int (*zero)(struct nbdt_device *device, struct nbdt_request *request);
	/* The range will be read soon: the device may fetch it, or some of it. */
	int (*cache)(struct nbdt_device *device, struct nbdt_request *request);
	/*
	 * What is where, from OFFSET on for LENGTH bytes, in at most *COUNT extents: one at least,
	 * none of length 0, neighbours that differ, none beyond the range. It may stop before the
	 * range ends, and sets *COUNT. What has NBDT_EXTENT_ZERO must read as zeroes: a READ sends
	 * none of it; in doubt it is data (0). Extents are multiples of block_minimum, and of 512
	 * bytes, where the range is. FLAGS are of enum nbdt_extents_flag. 0 or a negative errno,
	 * at once: never NBDT_PENDING. Without this operation clients have no base:allocation.
	 */
	int (*extents)(struct nbdt_device *device, uint64_t offset, uint64_t length,
		unsigned int flags, struct nbdt_extent *extents, size_t *count);
	/*
	 * Where the range lies, if nobody needs to see its data on the way. 0, or -EOPNOTSUPP: the
	 * other operations are used then. Not called by this version.
	 */
	int (*direct)(struct nbdt_device *device, uint64_t offset, uint64_t length,
		struct nbdt_direct *direct);
	/*
	 * Looks at the backing again and sets device->size, atomically, while others read and
	 * write. An error leaves it as it was. Called by whoever owns the device.
	 */
	int (*resize)(struct nbdt_device *device, struct nbdt_error *err);
	/* Frees the device, and what lies under it: nbdt_device_close(). Nothing is pending. */
	void (*close)(struct nbdt_device *device);
};

/*
 * A device embeds this as its first member. What it can do is asked once for each connection; only
 * size changes later, by resize, and is read atomically by nbdt_device_size().
 */
struct nbdt_device {
	const struct nbdt_device_ops *ops;
	uint64_t size;            /* bytes, up to 2^63 - 1 */
	uint32_t block_minimum;   /* bytes, a power of two up to 64 KiB */
	/* bytes, a power of two, at least 512 and block_minimum */
	uint32_t block_preferred;
	/* bytes, payload of one READ or WRITE, at least block_preferred; 32 MiB count at most */
	uint32_t block_maximum;
	bool read_only;           /* pwrite, trim and zero are not called */
	bool rotational;
	/*
	 * pwrite, trim and zero honour NBDT_REQUEST_FUA by themselves: what they did is persistent
	 * before they complete. Without it they never see that, and the server calls flush instead.
	 */
	bool can_fua;
	bool can_multi_conn;      /* a flush covers the completed writes of every connection */
	bool can_fast_zero;       /* zero honours NBDT_REQUEST_FAST_ZERO */
	bool failing_writes;      /* see nbdt_device_fail_writes(), and begins as false */
	/* any number; another one for other contents, as far as is known */
	uint64_t version;
};

uint64_t nbdt_device_size(const struct nbdt_device *device);

/*
 * The transmission flags that a server announces for a device, computed from what it can do. Those
 * who negotiate structured replies are told NBDT_FLAG_SEND_DF besides.
 */
uint16_t nbdt_device_flags(const struct nbdt_device *device);

/*
 * Switches the failing of writes on a device that is served: while on, the server answers WRITE,
 * TRIM and WRITE_ZEROES with EPERM. May be called from any thread.
 */
void nbdt_device_fail_writes(struct nbdt_device *device, bool on);
bool nbdt_device_fails_writes(const struct nbdt_device *device);

/* Closes a device and what lies under it. NULL is fine. */
void nbdt_device_close(struct nbdt_device *device);

struct nbdt_file_options {
	uint64_t offset;     /* bytes: where in the file the device begins */
	uint64_t size_limit; /* bytes; 0: up to the end of the file */
	uint32_t block_size; /* the device's size is rounded down to its multiple; 0: 512 */
	bool read_only;
	bool direct_io;      /* O_DIRECT */
	bool ignore_trim;    /* offer no trim */
	bool share;          /* write to a block device also while others use it */
};

struct nbdt_file_facts {
	uint64_t dev, ino;   /* of the file (a block device: its st_rdev as dev, 0) */
	uint64_t lost_bytes; /* tail that does not fill a block */
	bool read_only;      /* asked for, or all that the file's permissions allow */
	bool forced_read_only; /* the latter */
	bool block_device;
};

/*
 * Opens a regular file or a block device as a device. A file that can be opened only for reading
 * becomes a read-only device. A block device that is written is opened exclusively, unless it shall
 * be shared: nobody can mount it meanwhile. FACTS may be NULL.
 * Errors: of open(2); -EBUSY a block device is mounted, or in use otherwise (the text says by
 * whom); -EISDIR, -ENOTBLK neither file nor block device; -ENODATA nothing to serve (empty, or
 * offset at or after the end); -EINVAL options that don't fit.
 */
int nbdt_device_open_file(const char *path, const struct nbdt_file_options *options,
	struct nbdt_device **device, struct nbdt_file_facts *facts, struct nbdt_error *err);

/*
 * A part of another device, as a device: SIZE bytes (0: up to the end, as it grows) from OFFSET on,
 * both multiples of its minimal block. It owns UNDER once this has succeeded, and closes it.
 * Errors: -ENODATA not within UNDER; -EINVAL not aligned; -ENOMEM.
 */
int nbdt_device_open_window(struct nbdt_device *under, uint64_t offset, uint64_t size,
	struct nbdt_device **device, struct nbdt_error *err);

/*
 * A device that keeps what is written in PATH, or for NULL in memory until it is closed, and leaves
 * BASE as it is: sparse, in clusters of 64 KiB. An empty or new file becomes an overlay (0600); one
 * that is an overlay for a base of the same size and version goes on with what it has. A flush
 * makes all of it persistent. It owns BASE once this has succeeded, and closes it. BASE must not
 * change.
 * Errors: -EINVAL PATH is something else; -ESTALE an overlay for another base; -EBUSY another
 * device has it; those of open(2) and of writing; -ENOMEM.
 */
int nbdt_device_open_overlay(struct nbdt_device *base, const char *path,
	struct nbdt_device **device, struct nbdt_error *err);

/* Server */

struct nbdt_server;

/* "Server-side requirements". */
enum nbdt_tls_mode {
	NBDT_TLS_OFF,     /* there is none */
	NBDT_TLS_ON,      /* whoever wants it has it ("SELECTIVETLS mode") */
	NBDT_TLS_REQUIRE, /* nothing is told without it ("FORCEDTLS mode") */
};

struct nbdt_server_options {
	unsigned int handshake_timeout; /* milliseconds for the whole handshake; 0: 10000 */
	/* Clients that have an export at a time; others are refused one. 0: no limit. */
	unsigned int max_connections;
	size_t memory_limit; /* bytes of buffers for one connection, from 32 MiB; 0: 64 MiB */
	/*
	 * Bytes of these, the first to be used, that are touched beforehand and locked in memory as
	 * far as the process may: for a server under its own kernel's disk. If not 0, some threads
	 * are started beforehand as well.
	 */
	size_t locked_memory;
	enum nbdt_tls_mode tls;
	/* For TLS: certificates or keys, which are read once. */
	const struct nbdt_tls_options *tls_options;
};

/*
 * OPTIONS may be NULL. Errors: -ENOMEM and such; for TLS those of open(2), with the file's name,
 * and -EINVAL.
 */
int nbdt_server_new(const struct nbdt_server_options *options, struct nbdt_server **server,
	struct nbdt_error *err);

/*
 * Adds an export; the server does not own the device, which outlives it. The first one is the
 * default export too, unless one is named "". Before the first connection only. DESCRIPTION may be
 * NULL.
 * Errors: -EEXIST; -EINVAL a name over 4096 bytes or not UTF-8, or a device with impossible block
 * sizes or over 2^63 - 1 bytes; -ENOMEM.
 */
int nbdt_server_add_export(struct nbdt_server *server, const char *name, const char *description,
	struct nbdt_device *device, struct nbdt_error *err);

/*
 * Serves one client on a connected socket, handshake and transmission, in the calling thread, until
 * the client leaves or the server is stopped; then closes the socket, also when this fails. 0 after
 * a goodbye, a close between messages or a stop. Any number of threads may be in this call for one
 * server; of over 512 clients in the handshake, the one that came first is let go.
 * A WRITE of over 32 MiB is skipped and refused; one of over 64 MiB breaks the protocol.
 * Errors: -EPROTO the client broke the protocol; -ECONNRESET it vanished; -ETIMEDOUT slow
 * handshake, or last replies not taken within 5 seconds of a stop; -EUSERS it was refused an
 * export, there being max_connections already, or had to make room in the handshake; -ENOMEM. Of
 * TLS: -EKEYREJECTED the client's certificate is not good; -EREMOTEIO ours is not to the client, or
 * whatever else it says.
 */
int nbdt_server_serve(struct nbdt_server *server, int socket, struct nbdt_error *err);

/*
 * The same without a handshake: SOCKET is in the transmission phase of export NAME, as one end of a
 * socketpair whose other end goes to the kernel. Its requests must keep to the device's minimal
 * block size. -ENXIO no such export; the socket is closed then too.
 */
int nbdt_server_serve_transmission(
	struct nbdt_server *server, const char *name, int socket, struct nbdt_error *err);

/*
 * Listens on TCP, at every address of this machine that HOST has (NULL: at all of its addresses),
 * on one PORT (NULL: NBDT_DEFAULT_PORT; "0": one that is free). *SOCKETS, of *COUNT, is for free(),
 * each socket for close().
 * Errors: -EHOSTUNREACH with the resolver's words; -EADDRINUSE, -EADDRNOTAVAIL and others of
 * socket(2) and bind(2).
 */
int nbdt_listen_tcp(const char *host, const char *port, int **sockets, size_t *count,
	struct nbdt_error *err);

/*
 * Listens on a Unix socket, whose mode the umask decides. A socket on which nobody answers any more
 * is replaced. Returns the descriptor.
 * Errors: -EADDRINUSE somebody listens there, or it is something else than a socket; -ENAMETOOLONG;
 * those of bind(2).
 */
int nbdt_listen_unix(const char *path, struct nbdt_error *err);

/*
 * Accepts clients on listening sockets and serves each in a thread of its own, until the server is
 * stopped; then closes the sockets, and returns 0 once the last client is gone. The sockets are the
 * server's from the beginning, also when this fails. ENDED, unless NULL, is told by those threads
 * how each client ended: its address and port, or process number, for people, and result and error
 * of nbdt_server_serve(). Without descriptors or memory for another client, clients wait.
 * Errors: -E2BIG over 64 sockets; those of poll(2), and of accept(2) on what does not listen.
 */
int nbdt_server_accept(struct nbdt_server *server, const int *listeners, size_t count,
	void (*ended)(const char *client, int result, const struct nbdt_error *err, void *arg),
	void *arg, struct nbdt_error *err);

/*
 * Stops every connection of the server: what was received is finished and answered, then the socket
 * is closed. What comes in until then is answered with NBD_ESHUTDOWN where structured replies were
 * agreed on, and left unanswered elsewhere ("Terminating the transmission phase"). Returns at once;
 * may be called from any thread, but not from a signal handler.
 */
void nbdt_server_stop(struct nbdt_server *server);

/* Milliseconds that the oldest request being executed has taken so far; 0: none. */
unsigned int nbdt_server_oldest_request(struct nbdt_server *server);

/* No thread may be serving any more. NULL is fine. */
void nbdt_server_free(struct nbdt_server *server);

/* Attaching */

struct nbdt_attach_config {
	struct nbdt_kernel_config kernel;
	uint32_t max_request; /* bytes of the largest request; 0: the kernel's own default */
	bool ioctl;           /* by ioctls, else by netlink: see nbdt_kernel_has_netlink() */
	/*
	 * kind, source and facts; index, uuid and identifier are filled in. Strings stay the
	 * caller's
	 */
	struct nbdt_record record;
	/* descriptor of nbdt_record_lock() held by the caller, or -1 to take it for the call */
	int lock;
	/* With NBDT_INDEX_ANY: numbers of devices to leave to others; NULL: none. */
	const int *reserved;
	size_t reserved_count;
};

struct nbdt_attachment {
	int index;
	char uuid[37];
	char *identifier;                   /* as the kernel keeps it */
	struct nbdt_ioctl_session *session; /* NULL when attached by netlink */
};

/*
 * Gives sockets to the kernel, by netlink or by ioctls, sets the request size, writes the
 * record and announces it (nbdt_device_announce()). Does not wait for partitions and udev:
 * nbdt_device_settle() does. With a session in ATTACHMENT, the calling process must stay.
 * Errors: as nbdt_kernel_connect(). On failure nothing stays attached.
 */
int nbdt_attach(const struct nbdt_attach_config *config, struct nbdt_attachment *attachment,
	struct nbdt_error *err);
/*
 * Frees what ATTACHMENT points to, waiting for its session if it has one; detaches nothing by
 * itself.
 */
void nbdt_attachment_release(struct nbdt_attachment *attachment);

struct nbdt_detach_options {
	bool force;           /* also while it is mounted or held */
	/*
	 * Seconds for the flush, and again until the device is free. 0: 10 for the latter, and for
	 * the flush 300 where the server is our own and alive, or else a little more than a
	 * request's timeout.
	 */
	unsigned int timeout;
	/* Only if the device still has the record with this UUID; NULL: whatever it has. */
	const char *uuid;
};

/*
 * Detaches a device: claims it, flushes it, disconnects it, waits until it is free and its keeper
 * is gone, removes the record, announces that and waits for udev. When the keeper is known to be
 * dead, a flush is tried for a moment.
 * Errors: -ENODEV no such device; -ENOTCONN not connected, or not with that UUID; -EBUSY in use:
 * refused (the text says by whom), or still open after the disconnect; -ETIMEDOUT a live server of
 * our own is slow to flush, or the device cannot be opened because its server does not answer:
 * still attached, unless forced; or it is detached, but its keeper is not done with the image; -EIO
 * and others: the flush failed, and all that could be done to detach the device was done all the
 * same; -EPERM.
 */
int nbdt_detach(int index, const struct nbdt_detach_options *options, struct nbdt_error *err);

/* Loopback: a device served by this process and attached to its own kernel */

struct nbdt_loopback;

struct nbdt_loopback_config {
	struct nbdt_device *device;   /* outlives the loopback */
	struct nbdt_record record;    /* as in nbdt_attach_config */
	int index;                    /* or NBDT_INDEX_ANY */
	unsigned int connections;     /* 0 counts as 1 */
	/* logical block size, bytes; 0: the device's minimum, at least 512 */
	uint32_t block_size;
	uint64_t timeout;             /* seconds */
	bool ioctl;                   /* by ioctls even where netlink can be had */
	int lock;                     /* as in nbdt_attach_config */
	const int *reserved;          /* as in nbdt_attach_config */
	size_t reserved_count;
};

/*
 * Starts a thread for each connection, which serve until the kernel hangs up, and attaches. The
 * size is rounded down to whole blocks. Errors: as nbdt_attach().
 */
int nbdt_loopback_start(const struct nbdt_loopback_config *config, struct nbdt_loopback **loopback,
	struct nbdt_error *err);
int nbdt_loopback_index(const struct nbdt_loopback *loopback);
const struct nbdt_attachment *nbdt_loopback_attachment(const struct nbdt_loopback *loopback);
struct nbdt_server *nbdt_loopback_server(struct nbdt_loopback *loopback);
/* Polls readable once every connection has ended: the device was detached, by whomever. */
int nbdt_loopback_fd(const struct nbdt_loopback *loopback);
/* Tells the kernel the device's new size (after the device's resize operation). */
int nbdt_loopback_resize(struct nbdt_loopback *loopback, struct nbdt_error *err);
/*
 * Keeps the kernel's timeout from killing a link over one slow request, such as a flush of much
 * dirty data to a slow disk: while a request has taken longer than a third of the timeout, the
 * timeout is switched off, and then on again. Should be called every sixth of the timeout; does
 * nothing for several connections, which the kernel always times (nbd.c, nbd_xmit_timeout()), and
 * by ioctl.
 */
void nbdt_loopback_supervise(struct nbdt_loopback *loopback);
/*
 * Waits for the threads to end and frees. The device must have been detached, or it is stopped here
 * and the kernel left with dead links. NULL is fine.
 */
void nbdt_loopback_finish(struct nbdt_loopback *loopback);

/*
 * Control channel: every resident process listens on NBDT_RUN_DIR/nbdN.sock (0600) for JSON
 * objects, {"command": "status"}, and answers with one, {"result": 0, …} or {"result": -16,
 * "error": "…"}; one request for each connection.
 */

enum nbdt_control_command {
	NBDT_CONTROL_STATUS,      /* "status" */
	NBDT_CONTROL_RESIZE,      /* "resize": take over a changed size of the image */
	NBDT_CONTROL_FAIL_WRITES, /* "fail-writes": from now on */
	NBDT_CONTROL_PASS_WRITES, /* "pass-writes": no longer fail them */
	NBDT_CONTROL_STOP,        /* "stop": detach, at the last close if the device is in use */
};

struct nbdt_control_status {
	int pid;
	uint64_t size; /* bytes */
	bool failing_writes;
};

struct nbdt_control;

/*
 * Listens for device INDEX. A socket that a dead process left is replaced. Errors: of socket(2),
 * bind(2).
 */
int nbdt_control_listen(int index, struct nbdt_control **control, struct nbdt_error *err);
/* Polls readable when a client waits. */
int nbdt_control_fd(const struct nbdt_control *control);
/*
 * Answers one waiting client: HANDLE carries out the command and returns 0 or a negative errno,
 * which the client gets with ERR's sentence; STATUS is filled for NBDT_CONTROL_STATUS. A client has
 * one second to ask.
 */
void nbdt_control_serve(struct nbdt_control *control,
	int (*handle)(enum nbdt_control_command command, struct nbdt_control_status *status,
		void *arg, struct nbdt_error *err),
	void *arg);
/* Stops listening; the socket's name goes with the record. NULL is fine. */
void nbdt_control_close(struct nbdt_control *control);

/*
 * Sends a command to the process of device INDEX and returns its result; STATUS may be NULL.
 * Errors: -ENOENT, -ECONNREFUSED nobody listens; -ETIMEDOUT no answer within 30 seconds; the
 * command's.
 */
int nbdt_control_call(int index, enum nbdt_control_command command,
	struct nbdt_control_status *status, struct nbdt_error *err);

#ifdef __cplusplus
}
#endif

#endif
