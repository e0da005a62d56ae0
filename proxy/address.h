/* proxy/address — socket addresses as text, in the form of CLIENT LIST: host:port, [v6]:port, path:0. */
#ifndef PROXY_ADDRESS_H
#define PROXY_ADDRESS_H

#include <stddef.h>

void address_of_peer(int fd, char *buf, size_t cap);
void address_of_self(int fd, char *buf, size_t cap);

#endif
