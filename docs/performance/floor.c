// The floor under every figure of measure.py: what is left of a web server when nothing is
// asked of it. It looks for the empty line that ends a request and for nothing else, has one
// answer, made at the start, and opens no file. It goes to the kernel as seldom as a plain loop
// on epoll can, so every server on this kernel has this cost, and what it does beside.
//
// usage: floor PORT BODY [close]
//
// BODY is the size of the answer's body in bytes. With `close`, each connection ends after
// its first answer. Loopback only. Not a server to be used: a request whose last four bytes
// arrive in two pieces is never answered (wrk sends them in one).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS = 1 << 16, // the table is indexed by descriptor
    COPIES = 32,           // answers that lie one behind the other, to leave in one send
    EVENTS = 512,
    INLINE = 64 * 1024,    // a larger body is a file
    BUDGET = 256 * 1024,   // bytes for one connection before the others
};

struct connection {
    long unsent;   // bytes of responses that are not sent
    long at;     // how much of the first of them has left
    bool queued; // on the run queue
    bool last;   // no request is taken any more
};

static struct connection table[CONNECTIONS];
static int queue[CONNECTIONS], queued; // connections with bytes to send that do not wait for an event
static char *answers;                  // COPIES times head and body, or the head alone
static long head, body, whole;         // sizes: of head and body, and of both
static int file = -1, poll_of_all;
static bool closing;

static void must(bool fine, const char *what) {
    if (!fine) {
        perror(what);
        exit(1);
    }
}

static void make_answers(void) {
    char text[256];
    head = snprintf(text, sizeof text,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %ld\r\n%s\r\n",
                    body, closing ? "Connection: close\r\n" : "");
    whole = head + body;
    if (body > INLINE) {
        answers = strdup(text);
        file = memfd_create("body", 0);
        must(answers && file >= 0, "memfd");
        static char block[INLINE];
        memset(block, 'x', sizeof block);
        for (long left = body; left > 0;) {
            ssize_t wrote = write(file, block, left < INLINE ? left : INLINE);
            must(wrote > 0, "write");
            left -= wrote;
        }
        return;
    }
    answers = malloc(COPIES * whole);
    must(answers, "malloc");
    memset(answers, 'x', COPIES * whole);
    for (int i = 0; i < COPIES; i++) memcpy(answers + i * whole, text, head);
}

// One write of unsent bytes, as many as allowed: its size, or -1 with errno.
static ssize_t write_some(int socket, const struct connection *c, long budget) {
    if (file < 0) {
        long ready = COPIES * whole - c->at;
        return send(socket, answers + c->at, c->unsent < ready ? c->unsent : ready, MSG_NOSIGNAL);
    }
    if (c->at < head) return send(socket, answers + c->at, head - c->at, MSG_MORE | MSG_NOSIGNAL);
    off_t from = c->at - head;
    long rest = whole - c->at;
    return sendfile(socket, file, &from, rest < budget ? rest : budget);
}

// False when the connection is over. A connection whose socket is full leaves the queue, as an event
// will come when there is space; one that has used up its budget stays on it, as no event will come.
static bool serve(int socket) {
    struct connection *c = &table[socket];
    for (long budget = BUDGET; c->unsent > 0;) {
        ssize_t wrote = write_some(socket, c, budget);
        if (wrote <= 0) {
            c->queued = false;
            return wrote < 0 && errno == EAGAIN;
        }
        c->unsent -= wrote;
        c->at = (c->at + wrote) % whole;
        budget -= wrote;
        if (c->unsent > 0 && budget <= 0) return true;
    }
    c->queued = false;
    return !c->last;
}

// What a read says: how many requests have ended, or -1 for a connection that is over.
static int arrivals(int socket) {
    static char in[INLINE];
    ssize_t size = recv(socket, in, sizeof in, 0);
    if (size <= 0) return size < 0 && errno == EAGAIN ? 0 : -1;
    int count = 0;
    const char *from = in;
    while ((from = memmem(from, in + size - from, "\r\n\r\n", 4))) {
        count++;
        from += 4;
    }
    return count;
}

static void finish(int socket) {
    table[socket] = (struct connection){0};
    close(socket);
}

static void accept_all(int listener) {
    int socket;
    while ((socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        must(socket < CONNECTIONS, "too many connections");
        // Both directions and edges: no other call for this socket is ever needed.
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = socket};
        must(epoll_ctl(poll_of_all, EPOLL_CTL_ADD, socket, &event) == 0, "epoll_ctl");
    }
}

static void note(const struct epoll_event *event) {
    int socket = event->data.fd;
    struct connection *c = &table[socket];
    if (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP) && !c->last) {
        int count = arrivals(socket);
        if (count < 0) {
            // Its place on the queue is met by an empty entry, see `run`.
            finish(socket);
            return;
        }
        if (count > 0 && closing) {
            count = 1;
            c->last = true;
        }
        c->unsent += count * whole;
    }
    if (c->unsent > 0 && !c->queued) {
        c->queued = true;
        queue[queued++] = socket;
    }
}

// Serves each connection on the queue once; those that have more to send stay on it.
static void run(void) {
    int stay = 0;
    for (int i = 0; i < queued; i++) {
        int socket = queue[i];
        if (!table[socket].queued) continue;
        if (!serve(socket)) finish(socket);
        if (table[socket].queued) queue[stay++] = socket;
    }
    queued = stay;
}

int main(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: floor PORT BODY [close]\n");
        return 2;
    }
    body = atol(arguments[2]);
    closing = count > 3 && strcmp(arguments[3], "close") == 0;
    make_answers();

    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    // Accepted sockets inherit it.
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct sockaddr_in here = {
        .sin_family = AF_INET,
        .sin_port = htons(atoi(arguments[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    must(bind(listener, (struct sockaddr *)&here, sizeof here) == 0, "bind");
    must(listen(listener, 4096) == 0, "listen");

    poll_of_all = epoll_create1(0);
    struct epoll_event doorbell = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    must(epoll_ctl(poll_of_all, EPOLL_CTL_ADD, listener, &doorbell) == 0, "epoll_ctl");
    for (;;) {
        int ready = epoll_wait(poll_of_all, events, EVENTS, queued > 0 ? 0 : -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) accept_all(listener);
            else note(&events[i]);
        }
        run();
    }
}
