package ntp

import (
	"bytes"
	"encoding/hex"
	"math"
	"net"
	"testing"
	"time"
)

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	decoded, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// RFC 5297 appendix A.1 has one associated text and no nonce; a nonce is one more text, so S2V is checked by itself.
func TestSyntheticIVOfRFC5297(t *testing.T) {
	s, err := newSIV(bytesOf(t, "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
	if err != nil {
		t.Fatal(err)
	}
	associated := bytesOf(t, "101112131415161718191a1b1c1d1e1f2021222324252627")
	iv := s.synthetic(associated, bytesOf(t, "112233445566778899aabbccddee"))
	if hex.EncodeToString(iv) != "85632d07c6e8f37f950acd320a2ecc93" {
		t.Fatalf("S2V: %x", iv)
	}
}

func TestSIVRoundTrip(t *testing.T) {
	s, _ := newSIV(bytes.Repeat([]byte{7}, 32))
	for length := range 70 {
		plain := bytes.Repeat([]byte{byte(length)}, length)
		sealed := s.seal([]byte("nonce"), plain, []byte("associated"))
		opened, err := s.open([]byte("nonce"), sealed, []byte("associated"))
		if err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("length %d: %x %v", length, opened, err)
		}
		sealed[len(sealed)-1] ^= 1
		if _, err := s.open([]byte("nonce"), sealed, []byte("associated")); err == nil {
			t.Fatalf("length %d: a changed text was opened", length)
		}
	}
}

// serve answers every datagram with what reply makes of it.
func serve(t *testing.T, reply func(request []byte) []byte) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		buffer := make([]byte, 2048)
		for {
			length, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer := reply(append([]byte{}, buffer[:length]...)); answer != nil {
				_, _ = socket.WriteTo(answer, from)
			}
		}
	}()
	return socket.LocalAddr().String()
}

// honest is a server's reply to a request, `off` seconds from the truth.
func honest(request []byte, off float64) []byte {
	reply := make([]byte, headerBytes)
	reply[atFlags] = request[0]&0x38 | modeServer
	reply[atStratum] = 1
	copy(reply[atReferenceID:], "TEST")
	copy(reply[atOrigin:], request[atTransmit:headerBytes])
	at := stamp(time.Now().Add(time.Duration(off * float64(time.Second))))
	writeTimestamp(reply[atReceive:], at)
	writeTimestamp(reply[atTransmit:], at)
	return reply
}

func ask(t *testing.T, options Options) outcome {
	t.Helper()
	settled, err := options.settings()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newClient(settled)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	return c.query(t.Context())
}

func TestRepliesAreJudged(t *testing.T) {
	changed := func(change func(reply []byte) []byte) func([]byte) []byte {
		return func(request []byte) []byte { return change(honest(request, 0)) }
	}
	cases := map[string]struct {
		reply       func([]byte) []byte
		lost, wrong string
	}{
		"time":           {func(request []byte) []byte { return honest(request, 0) }, "", ""},
		"an hour off":    {func(request []byte) []byte { return honest(request, 3600) }, "", "time"},
		"silence":        {func([]byte) []byte { return nil }, "timeout", ""},
		"one byte more":  {changed(func(reply []byte) []byte { return append(reply, 0) }), "", "longer-than-request"},
		"half a header":  {changed(func(reply []byte) []byte { return reply[:24] }), "", "short"},
		"other version":  {changed(func(reply []byte) []byte { reply[0] ^= 8; return reply }), "", "version"},
		"other mode":     {changed(func(reply []byte) []byte { reply[0] ^= 1; return reply }), "", "mode"},
		"unsynchronised": {changed(func(reply []byte) []byte { reply[0] |= 0xc0; return reply }), "", "unsynchronised"},
		"foreign origin": {changed(func(reply []byte) []byte { reply[atOrigin] ^= 1; return reply }), "timeout", ""},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			found := ask(t, Options{Target: serve(t, each.reply), Timeout: 200})
			if found.lost != each.lost || found.wrong != each.wrong {
				t.Fatalf("lost %q, wrong %q", found.lost, found.wrong)
			}
		})
	}
}

func TestKissIsNoTime(t *testing.T) {
	found := ask(t, Options{Target: serve(t, func(request []byte) []byte {
		reply := honest(request, 0)
		reply[0], reply[atStratum] = reply[0]|0xc0, 0
		copy(reply[atReferenceID:], "RATE")
		return reply
	})})
	if found.reply.Kiss != "RATE" || found.wrong != "" || found.lost != "" {
		t.Fatalf("%+v", found)
	}
}

func TestKeys(t *testing.T) {
	for _, kind := range []string{"MD5", "SHA1", "SHA256", "AES128"} {
		key, err := newSymmetricKey(5, kind, "0123456789abcdef0123456789abcdef")
		if err != nil {
			t.Fatal(err)
		}
		good := serve(t, func(request []byte) []byte {
			if key.verify(request) != "" {
				return nil
			}
			sealed, _ := key.seal(honest(request, 0))
			return sealed
		})
		options := Options{Target: good, Key: &KeyOptions{5, kind, "0123456789abcdef0123456789abcdef"}}
		if found := ask(t, options); found.lost != "" || found.wrong != "" {
			t.Errorf("%s: %+v", kind, found)
		}
		options.Target = serve(t, func(request []byte) []byte {
			sealed, _ := key.seal(honest(request, 0))
			sealed[len(sealed)-1] ^= 1
			return sealed
		})
		if found := ask(t, options); found.wrong != "mac" {
			t.Errorf("%s, changed: %+v", kind, found)
		}
	}
}

func TestDifferencesCrossEras(t *testing.T) {
	if seconds := timestamp(1 << 32).minus(timestamp(0xffffffff << 32)); math.Abs(seconds-2) > 1e-9 {
		t.Fatalf("%v s", seconds)
	}
}

func TestOptionsAreRefusedInWords(t *testing.T) {
	for _, wrong := range []Options{
		{}, {Target: "127.0.0.1", Version: 5}, {Target: "x", Sources: []string{"nowhere"}},
		{Target: "x", Key: &KeyOptions{1, "ROT13", "a"}}, {NTS: &NTSOptions{}},
		{Target: "x", Key: &KeyOptions{1, "MD5", "a"}, NTS: &NTSOptions{Server: "x"}},
	} {
		if _, err := wrong.settings(); err == nil {
			t.Errorf("%+v was taken", wrong)
		}
	}
}

func FuzzAnswerOfKeyExchange(f *testing.F) {
	good := record(nil, recordNextProtocol|critical, 0, 0)
	good = record(good, recordAEAD, 0, aesSIVCMAC256)
	good = record(good, recordCookie, 1, 2, 3, 4)
	f.Add(record(good, recordEnd|critical))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if found, err := readAnswer(answer, "host"); err == nil && len(found.cookies) == 0 {
			t.Fatal("no cookie and no error")
		}
	})
}

func FuzzReply(f *testing.F) {
	request := make([]byte, headerBytes)
	f.Add(honest(request, 0))
	session := &session{}
	session.toClient, _ = newSIV(make([]byte, 32))
	f.Fuzz(func(t *testing.T, packet []byte) {
		_, wrong := judge(packet, sentRequest{bytes: headerBytes, version: 4}, time.Now())
		if len(packet) > headerBytes && wrong != "longer-than-request" {
			t.Fatal("a reply longer than its request was taken")
		}
		if len(packet) >= headerBytes && session.verify(packet, make([]byte, uniqueIDBytes)) == "" {
			t.Fatal("authenticated by chance")
		}
	})
}

func TestFlowJudgesEveryReplyAndCountsWhatIsMissing(t *testing.T) {
	served := 0
	address := serve(t, func(request []byte) []byte {
		served++
		reply := honest(request, 0)
		switch {
		case served%10 == 1:
			return nil
		case served%10 == 2:
			reply[atOrigin+7] ^= 1 // not a reply to anything that was asked
		case served%10 == 3:
			reply[atFlags] = 0x23 // a client's
		}
		return reply
	})
	c, err := newClient(settings{target: address, version: 4, timeout: 200 * time.Millisecond, sockets: 2, tolerance: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	var sum tally
	sum = newTally()
	if err := c.flow(t.Context(), 1000, 200*time.Millisecond, func(part tally) {
		sum.sent += part.sent
		sum.replies += part.replies
		sum.lost["timeout"] += part.lost["timeout"]
		sum.wrong["mode"] += part.wrong["mode"]
	}); err != nil {
		t.Fatal(err)
	}
	if sum.sent != 200 || sum.replies != 140 || sum.lost["timeout"] != 40 || sum.wrong["mode"] != 20 {
		t.Fatalf("%+v", sum)
	}
}

func TestFlowTellsWhatCameLateAndHowLongSendingTook(t *testing.T) {
	address := serve(t, func(request []byte) []byte {
		time.Sleep(time.Millisecond)
		return honest(request, 0)
	})
	tallied := func(late time.Duration) tally {
		c, err := newClient(settings{target: address, version: 4, timeout: 5 * time.Second, late: late, sockets: 2, tolerance: 10})
		if err != nil {
			t.Fatal(err)
		}
		sum := newTally()
		if err := c.flow(t.Context(), 1000, 50*time.Millisecond, func(part tally) {
			sum.replies += part.replies
			sum.late += part.late
			sum.took += part.took
		}); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	// Each reply takes a millisecond and more.
	if sum := tallied(time.Millisecond / 2); sum.replies != 50 || sum.late != 50 || sum.took <= 0 {
		t.Fatalf("%+v", sum)
	}
	if sum := tallied(time.Hour); sum.replies != 50 || sum.late != 0 {
		t.Fatalf("%+v", sum)
	}
}

func TestFlowIsForRequestsWithoutState(t *testing.T) {
	c, _ := newClient(settings{target: "127.0.0.1:9", version: 4, sockets: 1, nts: &ntsSettings{}})
	if err := c.flow(t.Context(), 1, time.Millisecond, func(tally) {}); err == nil {
		t.Fatal("an open loop would use up the cookies")
	}
}

func TestMisshapenPacketsFitTheirBuffer(t *testing.T) {
	packet := make([]byte, longestHostile)
	for range 10_000 {
		if made := misshapen(packet); len(made) > longestHostile {
			t.Fatalf("%d bytes", len(made))
		}
	}
}

func TestTimelineHasALineForEachSecondAndSeries(t *testing.T) {
	found := series{sum: 6, values: []float64{3, 1, 2}}
	line := found.line(7, seriesName{"ntp_req_duration", "plain", "", ""})
	if line.Second != 7 || line.Count != 3 || *line.P50 != 2 || *line.Max != 3 || line.Load != "plain" {
		t.Fatalf("%+v", line)
	}
}
