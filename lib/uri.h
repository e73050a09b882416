/* SPDX-License-Identifier: Apache-2.0 */
/* What reading a URI and building one from its parts share. */
#ifndef NBDT_URI_H
#define NBDT_URI_H

#include "nbdtools.h"

/* All strings NULL but the export's name, which is "". NULL: no memory. */
struct nbdt_uri *uri_new(enum nbdt_transport_kind transport);

/* Checks and stores one part; TEXT is copied. Errors: -EINVAL, -ENOMEM. */
int uri_set_export(struct nbdt_uri *uri, const char *text, struct nbdt_error *err);
int uri_set_port(struct nbdt_uri *uri, const char *text, struct nbdt_error *err);
int uri_set_string(char **string, const char *text, struct nbdt_error *err);

#endif
