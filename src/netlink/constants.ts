/**
 * Constants of netlink and of netfilter's netlink subsystems, under their names in the kernel's
 * headers. Each block names its header.
 */

// linux/netlink.h
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_DUMP_INTR = 0x10;
export const NLA_F_NESTED = 0x8000;
/** Clears NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
export const NLA_TYPE_MASK = 0x3fff;
export const SOL_NETLINK = 270;
export const NETLINK_ADD_MEMBERSHIP = 1;
export const NETLINK_NO_ENOBUFS = 5;

// linux/netfilter/nfnetlink.h
export const NFNL_SUBSYS_CTNETLINK = 1;
export const NFNL_SUBSYS_QUEUE = 3;
export const NFNLGRP_NFTABLES = 7;
export const NFNETLINK_V0 = 0;

// linux/netfilter.h
export const NF_DROP = 0;
export const NF_ACCEPT = 1;

export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

// linux/netfilter/nf_tables.h
export const NFT_MSG_NEWTABLE = 0;
export const NFT_MSG_DELTABLE = 2;
export const NFT_MSG_NEWCHAIN = 3;
export const NFT_MSG_DELCHAIN = 5;
export const NFT_MSG_NEWRULE = 6;
export const NFT_MSG_DELRULE = 8;
export const NFT_MSG_NEWSET = 9;
export const NFT_MSG_DELSET = 11;
export const NFT_MSG_NEWSETELEM = 12;
export const NFT_MSG_DELSETELEM = 14;
/** The table's name: the first attribute of all of these. */
export const NFTA_TABLE_NAME = 1;
export const NFTA_CHAIN_NAME = 3;
export const NFTA_RULE_CHAIN = 2;
export const NFTA_SET_NAME = 2;

// linux/netfilter/nfnetlink_queue.h
export const NFQNL_MSG_PACKET = 0;
export const NFQNL_MSG_VERDICT = 1;
export const NFQNL_MSG_CONFIG = 2;
export const NFQA_PACKET_HDR = 1;
export const NFQA_VERDICT_HDR = 2;
export const NFQA_MARK = 3;
export const NFQA_PAYLOAD = 10;
export const NFQA_CAP_LEN = 13;
export const NFQA_CFG_CMD = 1;
export const NFQA_CFG_PARAMS = 2;
export const NFQA_CFG_QUEUE_MAXLEN = 3;
export const NFQA_CFG_MASK = 4;
export const NFQA_CFG_FLAGS = 5;
export const NFQNL_CFG_CMD_BIND = 1;
export const NFQNL_COPY_PACKET = 2;
export const NFQA_CFG_F_FAIL_OPEN = 1;
export const NFQA_CFG_F_GSO = 4;

// linux/netfilter/nfnetlink_conntrack.h
export const IPCTNL_MSG_CT_NEW = 0;
export const IPCTNL_MSG_CT_GET = 1;
export const CTA_TUPLE_ORIG = 1;
export const CTA_TUPLE_REPLY = 2;
export const CTA_PROTOINFO = 4;
export const CTA_PROTOINFO_TCP = 1;
export const CTA_PROTOINFO_TCP_STATE = 1;
export const CTA_PROTOINFO_TCP_FLAGS_ORIGINAL = 4;
export const CTA_MARK = 8;
export const CTA_ZONE = 18;
export const CTA_MARK_MASK = 21;
/**
 * Since kernel 5.8; older kernels return all entries. Its nested flags say which parts of the
 * request's tuples an entry must match.
 */
export const CTA_FILTER = 25;
export const CTA_FILTER_ORIG_FLAGS = 1;
export const CTA_FILTER_REPLY_FLAGS = 2;
/**
 * Flag bit: match the tuple's source address (net/netfilter/nf_internals.h). In host byte order.
 */
export const CTA_FILTER_F_CTA_IP_SRC = 1;
export const CTA_TUPLE_IP = 1;
export const CTA_TUPLE_PROTO = 2;
export const CTA_IP_V4_SRC = 1;
export const CTA_IP_V4_DST = 2;
export const CTA_IP_V6_SRC = 3;
export const CTA_IP_V6_DST = 4;
export const CTA_PROTO_NUM = 1;
export const CTA_PROTO_SRC_PORT = 2;
export const CTA_PROTO_DST_PORT = 3;
export const CTA_PROTO_ICMP_ID = 4;
export const CTA_PROTO_ICMP_TYPE = 5;
export const CTA_PROTO_ICMPV6_ID = 7;
export const CTA_PROTO_ICMPV6_TYPE = 8;

// linux/netfilter/nf_conntrack_tcp.h. Connections in this state and the later ones, TIME_WAIT and
// CLOSE, carry no more data.
export const TCP_CONNTRACK_LAST_ACK = 6;
/**
 * The kernel picked the connection up mid-stream (tcp_new in
 * net/netfilter/nf_conntrack_proto_tcp.c) and checks its sequence numbers less strictly.
 */
export const IP_CT_TCP_FLAG_BE_LIBERAL = 0x08;
/** The kernel saw a SYN that offers window scaling, as nearly all do. */
export const IP_CT_TCP_FLAG_WINDOW_SCALE = 0x01;

// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
export const RTM_GETLINK = 18;
export const RTM_GETADDR = 22;
/** The scope of global addresses. */
export const RT_SCOPE_UNIVERSE = 0;
export const IFADDRMSG_LENGTH = 8;
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFINFOMSG_LENGTH = 16;
export const IFLA_IFNAME = 3;
export const IFLA_MASTER = 10;
export const IFLA_LINKINFO = 18;
export const IFLA_LINK_NETNSID = 37;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const IFLA_BR_NF_CALL_IPTABLES = 36;
export const IFLA_BR_NF_CALL_IP6TABLES = 37;
