/* SPDX-License-Identifier: Apache-2.0 */
/* The options with which a client asks for TLS; some of them are a server's too. */
#ifndef NBDT_TLS_OPTIONS_H
#define NBDT_TLS_OPTIONS_H

#include "command.h"

enum tls_option {
	OPTION_TLS = 512,
	OPTION_TLS_CERTIFICATES,
	OPTION_TLS_PSK,
	OPTION_TLS_USER,
	OPTION_TLS_HOSTNAME,
	OPTION_TLS_VERIFY,
};

/* For a table of long options. */
#define TLS_LONG_OPTIONS                                                                          \
	{ "tls", required_argument, NULL, OPTION_TLS },                                           \
	{ "tls-certificates", required_argument, NULL, OPTION_TLS_CERTIFICATES },                 \
	{ "tls-psk", required_argument, NULL, OPTION_TLS_PSK },                                   \
	{ "tls-user", required_argument, NULL, OPTION_TLS_USER },                                 \
	{ "tls-hostname", required_argument, NULL, OPTION_TLS_HOSTNAME },                         \
	{ "tls-verify", required_argument, NULL, OPTION_TLS_VERIFY }

/* For a help text. */
#define TLS_HELP                                                                                  \
	"      --tls=require|off   encrypt, as with nbds://, or don't\n"                          \
	"      --tls-certificates=FOLDER\n"                                                       \
	"                          with ca-cert.pem, client-cert.pem, client-key.pem\n"           \
	"      --tls-psk=FILE      pre-shared keys instead of certificates\n"                     \
	"      --tls-user=NAME     whose key of these (default: your name)\n"                     \
	"      --tls-hostname=NAME the server's name in its certificate (default: HOST)\n"        \
	"      --tls-verify=off    trust whoever answers\n"

struct tls_options {
	bool off;      /* --tls=off */
	bool required; /* by whichever option */
	bool verify_off;
	const char *certificates, *psk_file, *user, *hostname; /* or NULL */
};

/* Takes an option with its argument; false: it is none of these. *STATUS is that of usage. */
bool set_tls_option(int option, struct tls_options *tls, enum command_status *status);

/* Adds to URI what the options ask for; its own parameters are kept where they ask for nothing. */
enum command_status apply_tls_options(const struct tls_options *tls, struct nbdt_uri *uri);

/* Warns of a file of keys (or NULL) that everybody can read. */
void warn_of_readers(const char *keys);

#endif
