/**
 * Rules of other enforcers in the form in which nft and iptables-save print them, reduced to what
 * matters. They are written from the known table and chain names of those projects; only
 * kube-network-policies was seen running. Replace a text here by a dump from a real node when there
 * is one.
 */

/** kindnetd of kind 0.27 (nft 1.0.6). */
export const KINDNETD = `table inet kindnet-network-policies {
	comment "rules for kubernetes NetworkPolicy"
	set podips-v4 {
		type ipv4_addr
		comment "Local V4 Pod IPs with Network Policies"
		elements = { 10.244.1.2 }
	}

	chain postrouting {
		type filter hook postrouting priority srcnat - 5; policy accept;
		udp dport 53 accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		ct state established,related accept
		ip saddr @podips-v4 queue flags bypass to 102 comment "process IPv4 traffic with network policy enforcement"
		ip daddr @podips-v4 queue flags bypass to 102 comment "process IPv4 traffic with network policy enforcement"
	}

	chain prerouting {
		type filter hook prerouting priority dstnat + 5; policy accept;
		meta l4proto != udp accept
		udp dport != 53 accept
		ip saddr @podips-v4 queue flags bypass to 102 comment "process IPv4 traffic with network policy enforcement"
	}
}
`;

/** kube-network-policies with an nft that uses the older spelling. */
export const OLDER_NFT = `table inet kube-network-policies {
	chain postrouting {
		type filter hook postrouting priority srcnat - 5; policy accept;
		ct state established,related accept
		ip saddr @podips-v4 queue num 100-101 bypass,fanout comment "process IPv4 traffic with network policy enforcement"
	}
}
`;

/** podfence's own, two queues, fail closed. */
export const PODFENCE = `table inet podfence {
	set isolated4 {
		type ipv4_addr
		elements = { 10.244.1.2 }
	}

	chain forward {
		type filter hook forward priority mangle; policy accept;
		ip saddr @isolated4 queue to 9464-9465 comment "isolated source 5d2c"
	}
}
`;

/** kindnet's fast path. */
export const FLOW_TABLE = `table inet kindnet-fastpath {
	flowtable kindnet-flowtables {
		hook ingress priority filter - 5
		devices = { eth0, veth1a2b3c4d }
	}

	chain kindnet-fastpath-chain {
		type filter hook forward priority filter - 2; policy accept;
		ct packets > 20 flow add @kindnet-flowtables counter packets 3 bytes 180
	}
}
`;

/** Calico 3.28, Felix in its iptables mode. */
export const CALICO = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:cali-FORWARD - [0:0]
:cali-from-wl-dispatch - [0:0]
:cali-pi-default/web - [0:0]
-A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
COMMIT
`;

/** k3s 1.31: the kube-router inside it. */
export const K3S = `*filter
:FORWARD ACCEPT [0:0]
:KUBE-ROUTER-FORWARD - [0:0]
:KUBE-POD-FW-BFGPRSOVWXQMMZ2R - [0:0]
:KUBE-NWPLCY-DEFAULT - [0:0]
-A FORWARD -m comment --comment "kube-router netpol - TEMCG2JMHZYE7H7T" -j KUBE-ROUTER-FORWARD
COMMIT
`;

/** Cilium 1.16 with kube-proxy beside it. */
export const CILIUM = `*mangle
:CILIUM_PRE_mangle - [0:0]
:CILIUM_POST_mangle - [0:0]
-A PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_mangle" -j CILIUM_PRE_mangle
COMMIT
`;

/** Antrea 2.1. */
export const ANTREA = `*raw
:ANTREA-OUTPUT - [0:0]
:ANTREA-PREROUTING - [0:0]
COMMIT
`;

/** A queue of an intrusion prevention system, without a bypass. */
export const SURICATA = `*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -m comment --comment "a queue" -j NFQUEUE --queue-balance 0:3
COMMIT
`;
