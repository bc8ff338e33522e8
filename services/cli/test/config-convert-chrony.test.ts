/** Real-shaped files of chrony: what an ntp.conf made of them comes to, and what is said to be lost. */
import { describe, expect, it } from "vitest"
import { check, type Shape } from "./config-convert-stage.ts"

const chrony: readonly Shape[] = [
  {
    name: "Debian's own",
    text: `confdir <dir>/conf.d
pool 2.debian.pool.ntp.org iburst
sourcedir /run/chrony-dhcp
sourcedir /etc/chrony/sources.d
keyfile /etc/chrony/chrony.keys
driftfile /var/lib/chrony/chrony.drift
ntsdumpdir /var/lib/chrony
logdir /var/log/chrony
maxupdateskew 100.0
rtcsync
makestep 1 3
leapsectz right/UTC
`,
    sources: ["server ntp.local iburst 6 10", "pool 2.debian.pool.ntp.org iburst 6 10"],
    has: [
      "sourcedir /run/chrony-dhcp",
      "keys /etc/chrony/chrony.keys",
      "trustedkey (1 ... 65535)",
      "cmdport 323",
      "maxupdateskew 100.0"
    ],
    lost: ["ntsdumpdir", "leapsectz right/UTC"],
    open: true
  },
  {
    name: "Red Hat's own",
    text: `# Use public servers from the pool.ntp.org project.
pool 2.rhel.pool.ntp.org iburst
sourcedir /run/chrony-dhcp
driftfile /var/lib/chrony/drift
makestep 1.0 3
rtcsync
#hwtimestamp *
#allow 192.168.0.0/16
keyfile /etc/chrony.keys
ntsdumpdir /var/lib/chrony
logdir /var/log/chrony
`,
    sources: ["pool 2.rhel.pool.ntp.org iburst 6 10"],
    has: ["# hwtimestamp *", "driftfile /var/lib/chrony/drift", "statsdir /var/log/chrony"],
    lost: ["ntsdumpdir"],
    open: false
  },
  {
    name: "Ubuntu's own, with its pools' options",
    text: `pool ntp.ubuntu.com        iburst maxsources 4
pool 0.ubuntu.pool.ntp.org iburst maxsources 1
pool 1.ubuntu.pool.ntp.org iburst maxsources 1
pool 2.ubuntu.pool.ntp.org iburst maxsources 2
`,
    sources: [0, 1, 2, 3].map(
      (at) =>
        `pool ${["ntp.ubuntu.com", "0.ubuntu.pool.ntp.org", "1.ubuntu.pool.ntp.org", "2.ubuntu.pool.ntp.org"][at]} iburst 6 10`
    ),
    has: [],
    lost: ["maxsources 4", "maxsources 1", "maxsources 1", "maxsources 2"],
    open: false
  },
  {
    name: "Amazon's link-local server",
    text: "server 169.254.169.123 prefer iburst minpoll 4 maxpoll 4\n",
    sources: ["server 169.254.169.123 iburst 4 4"],
    has: ["server 169.254.169.123 prefer iburst minpoll 4 maxpoll 4"],
    lost: [],
    open: false
  },
  {
    name: "a LAN's server",
    text: "server a.example iburst\nserver b.example iburst\nallow 192.168.0.0/16\nallow fd00::/8\nlocal stratum 10\nratelimit interval 1 burst 16 leak 3\n",
    sources: ["server a.example iburst 6 10", "server b.example iburst 6 10"],
    has: [
      "allow 192.168.0.0/16",
      "allow fd00::/8",
      "fudge 127.127.1.0 stratum 10",
      "ratelimit interval 1 burst 16 leak 3"
    ],
    lost: [],
    open: true
  },
  {
    name: "a public pool server",
    text: "server a.example\nallow\ndeny 192.0.2.0/24\nratelimit\nclientloglimit 100000000\nport 123\ncmdport 0\n",
    sources: ["server a.example 6 10"],
    has: ["allow", "deny 192.0.2.0/24", "ratelimit", "mru maxmem 97656", "cmdport 0"],
    lost: [],
    open: true
  },
  {
    name: "an NTS server",
    text: `server nts.example iburst nts
ntsserverkey /etc/pki/a.key
ntsservercert /etc/pki/a.crt
ntsserverkey /etc/pki/b.key
ntsservercert /etc/pki/b.crt
ntsport 4461
ntsprocesses 2
maxntsconnections 200
ntsntpserver time.example
ntsaeads 30 15
ntsratelimit interval -3 burst 8
ntsrotate 604800
allow
`,
    sources: ["server nts.example nts iburst 6 10"],
    has: [
      "nts cert /etc/pki/a.crt key /etc/pki/a.key",
      "nts cert /etc/pki/b.crt key /etc/pki/b.key",
      "nts port 4461",
      "nts processes 2",
      "nts connections 200",
      "nts ntpserver time.example",
      "nts aead 30",
      "nts ratelimit 8"
    ],
    lost: ["ntsrotate"],
    open: true
  },
  {
    name: "NTS clients with their own authorities",
    text: "server a.example nts ntsport 4461 certset 1 iburst\nserver b.example nts\nntstrustedcerts 1 /etc/ca.pem\nauthselectmode require\nnosystemcert\n",
    sources: ["server a.example:4461 nts iburst 6 10", "server b.example nts 6 10"],
    has: ["nts ca /etc/ca.pem"],
    lost: ["certset 1", "the set 1", "authselectmode require", "nosystemcert"],
    open: false
  },
  {
    name: "a GPS hat with pulses",
    text: "refclock SHM 0 refid GPS poll 3 offset 0.155 noselect\nrefclock PPS /dev/pps0 refid PPS lock GPS poll 3\nserver a.example\nallow 10\n",
    sources: ["server a.example 6 10"],
    has: ["refclock shm unit 0 refid GPS minpoll 3 maxpoll 3 time1 0.155 noselect", "allow 10.0.0.0/8"],
    lost: ["lock GPS"],
    open: true
  },
  {
    name: "clocks with a precision of their own, which is the same word",
    text: "refclock SHM 0 refid GPS precision 1e-1 offset 0.155\nrefclock PPS /dev/pps0 precision 1e-7\nserver a.example\nallow 10\n",
    sources: ["server a.example 6 10"],
    has: ["refclock shm unit 0 refid GPS precision 1e-1 time1 0.155", "refclock pps path /dev/pps0 precision 1e-7"],
    lost: [],
    open: true
  },
  {
    name: "gpsd's sockets and a network card's clock",
    text: "refclock SOCK /run/chrony.ttyS0.sock refid GPS delay 0.2\nrefclock PHC /dev/ptp0:extpps:pin=1 tai poll 0\nlocal stratum 1\nleapseclist /usr/share/zoneinfo/leap-seconds.list\n",
    sources: [],
    has: [
      "refclock sock path /run/chrony.ttyS0.sock refid GPS time2 0.1",
      "leapfile /usr/share/zoneinfo/leap-seconds.list",
      "fudge 127.127.1.0 stratum 1"
    ],
    lost: ["extpps", "pin=1"],
    open: false
  },
  {
    name: "symmetric keys and peers",
    text: "keyfile /etc/chrony.keys\nserver a.example key 5 xleave\npeer b.example key 6 minpoll 4 maxpoll 5\nallow 192.0.2.7\n",
    sources: ["server a.example key 5 6 10", "peer b.example key 6 4 5"],
    has: ["server a.example key 5 xleave", "allow 192.0.2.7"],
    lost: [],
    open: true
  },
  {
    name: "a data centre's, with fast polls and measured paths",
    text: "server 2001:db8::1 port 1123 minpoll -4 maxpoll -2 xleave extfield F323 mindelay 0.00001 asymmetry 0.5 maxdelayratio 2 filter 5\nhwtimestamp *\nmaxslewrate 1000\n",
    sources: ["server 2001:db8::1:1123 -4 -2"],
    has: [
      "server [2001:db8::1]:1123 minpoll -4 maxpoll -2 xleave mindelay 0.00001 asymmetry 0.5 maxdelayratio 2 filter 5"
    ],
    lost: ["extfield F323", "hwtimestamp *", "maxslewrate 1000"],
    open: false
  },
  {
    name: "a laptop's",
    text: "SERVER a.example OFFLINE\ninitstepslew 10 a.example\nmanual\nmailonchange root 0.5\ndumponexit\nport 0\nlog tracking measurements tempcomp\nbindcmdaddress /\n",
    sources: ["server a.example 6 10"],
    has: ["statistics loopstats rawstats"],
    lost: ["offline", "initstepslew", "manual", "mailonchange", "dumponexit", "port 0", "tempcomp", "bindcmdaddress"],
    open: false
  },
  {
    name: "a Samba domain's",
    text: "local stratum 10 orphan\nallow 0/0\nntpsigndsocket /var/lib/samba/ntp_signd\nbindaddress 192.0.2.1\nuser chrony\ninclude <dir>/extra.conf\n",
    sources: ["server extra.example 6 10"],
    has: [
      "tos orphan 10",
      "ntpsigndsocket /var/lib/samba/ntp_signd",
      "restrict default noquery mssntp",
      "listen 192.0.2.1",
      "user chrony",
      "# from <dir>/extra.conf:"
    ],
    lost: [],
    open: true
  },
  {
    name: "what includes are not there, and words that nobody knows",
    text: "include <dir>/absent.conf\nconfdir <dir>/absent\ninclude <dir>/extr?.conf\nsever a.example\nallow host.example\nmaxdistance 3\nminsources 2\nmaxclockerror 10\n",
    sources: ["server extra.example 6 10"],
    has: ["tos maxdist 3", "tos minsane 2", "tinker dispersion 0.00001", "allow host.example"],
    lost: [/absent\.conf/, "sever a.example"],
    open: true
  },
  {
    name: "who is served by name, and who is not",
    text: "allow 192.0.2/24\ndeny printer.example\ndeny all host_1.example\nallow 192.0.2.300\n",
    sources: [],
    has: ["allow 192.0.2.0/24", "deny printer.example", "deny all host_1.example"],
    lost: ["allow 192.0.2.300"],
    open: true
  },
  {
    name: "one that tells the time to a network, from before chrony 2.2",
    text: "broadcast 60 192.0.2.255\nbroadcast 64 192.0.2.127 1123\nnocerttimecheck 2\ncommandkey 1\ngeneratecommandkey\nlinux_hz 100\nlinux_freq_scale 0.999\n",
    sources: [],
    has: ["broadcast 192.0.2.255 minpoll 6", "broadcast 192.0.2.127 minpoll 6", "nts nocerttimecheck 2"],
    lost: ["interval 60", "port 1123", "commandkey 1", "generatecommandkey", "linux_hz 100", "linux_freq_scale 0.999"],
    open: false
  }
]

describe("chrony.conf", () => {
  it.each(chrony)("$name", (shape) => {
    expect.hasAssertions()
    check(shape, "chrony.conf")
  })
})
