/*
 * Accepts every packet of queues FIRST to FIRST + COUNT - 1 and sets MARK in each, with one thread a
 * queue. Works like src/dataplane/nfqueue: one recvmmsg for up to 64 packets, one send for their
 * verdicts. It does not look at packets: what it costs is the cost of the kernel's queue itself.
 *
 *     cc -O2 -pthread -o accept-all accept-all.c && ./accept-all FIRST COUNT MARK
 *
 * Prints "listening" when all queues are bound, and ends with its parent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define MESSAGE 512
#define COPY_RANGE 128
#define QUEUE_LENGTH 16384
#define MOST 64
#define RECEIVE_BUFFER (64 << 20)

struct verdict {
  struct nlmsghdr header;
  struct nfgenmsg family;
  struct nlattr verdict_header;
  struct nfqnl_msg_verdict_hdr verdict;
  struct nlattr mark_header;
  uint32_t mark;
};

/* In network order. */
static uint32_t mark;

static void check(int result, const char *call) {
  if (result >= 0) return;
  perror(call);
  exit(1);
}

/* Binds a queue as queue-socket.ts does: one message with all of its settings. */
static int bind_queue(int queue) {
  struct {
    struct nlmsghdr header;
    struct nfgenmsg family;
    struct nlattr command_header;
    struct nfqnl_msg_config_cmd command;
    struct nlattr params_header;
    struct nfqnl_msg_config_params params;
    char padding[3];
    struct nlattr length_header;
    uint32_t length;
    struct nlattr flags_header;
    uint32_t flags;
    struct nlattr mask_header;
    uint32_t mask;
  } message = {
    .header = { sizeof message, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, 0, 0 },
    .family = { .res_id = htons(queue) },
    .command_header = { NLA_HDRLEN + sizeof message.command, NFQA_CFG_CMD },
    .command = { .command = NFQNL_CFG_CMD_BIND },
    .params_header = { NLA_HDRLEN + sizeof message.params, NFQA_CFG_PARAMS },
    .params = { .copy_range = htonl(COPY_RANGE), .copy_mode = NFQNL_COPY_PACKET },
    .length_header = { NLA_HDRLEN + sizeof message.length, NFQA_CFG_QUEUE_MAXLEN },
    .length = htonl(QUEUE_LENGTH),
    .flags_header = { NLA_HDRLEN + sizeof message.flags, NFQA_CFG_FLAGS },
    .flags = htonl(NFQA_CFG_F_GSO),
    .mask_header = { NLA_HDRLEN + sizeof message.mask, NFQA_CFG_MASK },
    .mask = htonl(NFQA_CFG_F_GSO),
  };
  struct { struct nlmsghdr header; struct nlmsgerr error; } answer;
  int buffer = RECEIVE_BUFFER, on = 1;
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
  check(fd, "socket");
  check(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer), "SO_RCVBUFFORCE");
  check(setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on), "NETLINK_NO_ENOBUFS");
  check(send(fd, &message, sizeof message, 0), "send");
  check(recv(fd, &answer, sizeof answer, 0), "recv");
  errno = -answer.error.error;
  check(answer.error.error, "binding the queue");
  return fd;
}

/* Reads id and mark of a packet and writes its verdict. */
static int accept_packet(const struct nlmsghdr *header, struct verdict *verdict) {
  const char *at = (const char *)header + NLMSG_LENGTH(sizeof(struct nfgenmsg));
  const char *end = (const char *)header + header->nlmsg_len;
  verdict->mark = mark;
  if (header->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) return 0;
  while (at + NLA_HDRLEN <= end) {
    const struct nlattr *attribute = (const struct nlattr *)at;
    if (attribute->nla_type == NFQA_PACKET_HDR)
      verdict->verdict.id = ((const struct nfqnl_msg_packet_hdr *)(attribute + 1))->packet_id;
    if (attribute->nla_type == NFQA_MARK) verdict->mark |= *(const uint32_t *)(attribute + 1);
    at += NLA_ALIGN(attribute->nla_len);
  }
  return 1;
}

static void *serve(void *argument) {
  static __thread char messages[BATCH][MESSAGE] __attribute__((aligned(8)));
  static __thread struct mmsghdr headers[BATCH];
  static __thread struct iovec vectors[BATCH];
  static __thread struct verdict verdicts[BATCH];
  int queue = ((const int *)argument)[0], fd = ((const int *)argument)[1];
  struct pollfd ready = { .fd = fd, .events = POLLIN };
  for (int i = 0; i < BATCH; i++) {
    vectors[i] = (struct iovec){ messages[i], MESSAGE };
    headers[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
    verdicts[i] = (struct verdict){
      .header = { sizeof(struct verdict), NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT, NLM_F_REQUEST, 0, 0 },
      .family = { .res_id = htons(queue) },
      .verdict_header = { NLA_HDRLEN + sizeof(struct nfqnl_msg_verdict_hdr), NFQA_VERDICT_HDR },
      .verdict = { .verdict = htonl(NF_ACCEPT) },
      .mark_header = { NLA_HDRLEN + 4, NFQA_MARK },
    };
  }
  for (;;) {
    int count = recvmmsg(fd, headers, BATCH, MSG_DONTWAIT, NULL), accepted = 0;
    for (int i = 0; i < count; i++)
      accepted += accept_packet((const struct nlmsghdr *)messages[i], &verdicts[accepted]);
    if (accepted > 0) send(fd, verdicts, accepted * sizeof(struct verdict), 0);
    if (count < BATCH) poll(&ready, 1, -1);
  }
  return NULL;
}

int main(int count, char **arguments) {
  static int bound[MOST][2];
  int first = count == 4 ? atoi(arguments[1]) : 0, queues = count == 4 ? atoi(arguments[2]) : 0;
  if (queues < 1 || queues > MOST) {
    fputs("usage: accept-all FIRST COUNT MARK\n", stderr);
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  mark = htonl(strtoul(arguments[3], NULL, 0));
  for (int i = 0; i < queues; i++) {
    pthread_t thread;
    bound[i][0] = first + i;
    bound[i][1] = bind_queue(first + i);
    if (pthread_create(&thread, NULL, serve, bound[i]) != 0) return 1;
  }
  puts("listening");
  fflush(stdout);
  pause();
}
