package ntp

import (
	"context"
	"sync"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
)

func init() { modules.Register("k6/x/ntp", new(rootModule)) }

type rootModule struct{}

// instruments are the extension's metrics. Every duration has a count beside it: a threshold on an empty trend passes.
type instruments struct {
	duration, offset, handshake                                     *metrics.Metric
	requests, replies, lost, wrong, kiss, handshakes, handshakeFail *metrics.Metric
	late, flowSeconds                                               *metrics.Metric
	hostileSent, hostileReceived                                    *metrics.Metric
}

type instance struct {
	vu modules.VU
	instruments
}

// NewModuleInstance is called once a VU, in its init context.
func (*rootModule) NewModuleInstance(vu modules.VU) modules.Instance {
	registry := vu.InitEnv().Registry
	return &instance{vu, instruments{
		duration:        registry.MustNewMetric("ntp_req_duration", metrics.Trend, metrics.Time),
		offset:          registry.MustNewMetric("ntp_offset", metrics.Trend, metrics.Time),
		handshake:       registry.MustNewMetric("ntske_handshake_duration", metrics.Trend, metrics.Time),
		requests:        registry.MustNewMetric("ntp_requests", metrics.Counter),
		replies:         registry.MustNewMetric("ntp_replies", metrics.Counter),
		lost:            registry.MustNewMetric("ntp_lost", metrics.Counter),
		late:            registry.MustNewMetric("ntp_late", metrics.Counter),
		flowSeconds:     registry.MustNewMetric("ntp_flow_seconds", metrics.Counter),
		wrong:           registry.MustNewMetric("ntp_wrong", metrics.Counter),
		kiss:            registry.MustNewMetric("ntp_kod", metrics.Counter),
		handshakeFail:   registry.MustNewMetric("ntske_failures", metrics.Counter),
		handshakes:      registry.MustNewMetric("ntske_handshakes", metrics.Counter),
		hostileSent:     registry.MustNewMetric("ntp_hostile_sent", metrics.Counter, metrics.Data),
		hostileReceived: registry.MustNewMetric("ntp_hostile_received", metrics.Counter, metrics.Data),
	}}
}

// Exports gives scripts the class Client.
func (i *instance) Exports() modules.Exports {
	return modules.Exports{Named: map[string]any{"Client": i.construct}}
}

// Burst is what became of many requests.
type Burst struct {
	Sent     int `js:"sent"`
	Answered int `js:"answered"`
	Lost     int `js:"lost"`
	Wrong    int `js:"wrong"`
	Kod      int `js:"kod"`
}

func (i *instance) construct(call sobek.ConstructorCall) *sobek.Object {
	runtime := i.vu.Runtime()
	var options Options
	if err := runtime.ExportTo(call.Argument(0), &options); err != nil {
		common.Throw(runtime, err)
	}
	settled, err := options.settings()
	if err != nil {
		common.Throw(runtime, err)
	}
	c, err := newClient(settled)
	if err != nil {
		common.Throw(runtime, err)
	}
	object := call.This
	_ = object.Set("query", func() *sobek.Promise { return i.query(c) })
	_ = object.Set("burst", func(count int, rate float64) *sobek.Promise { return i.burst(c, count, rate) })
	_ = object.Set("flow", func(rate, seconds float64) *sobek.Promise { return i.flow(c, rate, seconds) })
	_ = object.Set("hostile", func(rate, seconds float64) *sobek.Promise { return i.hostile(c, rate, seconds) })
	_ = object.Set("exchange", func() *sobek.Promise { return i.exchange(c) })
	_ = object.Set("close", c.close)
	return nil
}

// promised runs work beside the event loop and settles with what it returns. The work has to end by itself.
func (i *instance) promised(work func(ctx context.Context, state *lib.State) (any, error)) *sobek.Promise {
	promise, resolve, reject := i.vu.Runtime().NewPromise()
	state := i.vu.State()
	if state == nil {
		_ = reject(common.NewInitContextError("NTP requests are made in the default function or a scenario's, not at import"))
		return promise
	}
	settle := i.vu.RegisterCallback()
	ctx := i.vu.Context()
	go func() {
		result, err := work(ctx, state)
		settle(func() error {
			if err != nil {
				return reject(err)
			}
			return resolve(result)
		})
	}()
	return promise
}

func (i *instance) query(c *client) *sobek.Promise {
	tags := i.tags(c)
	return i.promised(func(ctx context.Context, state *lib.State) (any, error) {
		found := c.query(ctx)
		i.record(ctx, state, tags, found)
		return map[string]any{
			"ok": found.lost == "" && found.wrong == "" && found.reply.Kiss == "", "lost": found.lost,
			"wrong": found.wrong, "duration": float64(found.duration) / float64(time.Millisecond), "reply": found.reply,
		}, nil
	})
}

func (i *instance) burst(c *client, count int, rate float64) *sobek.Promise {
	tags := i.tags(c)
	return i.promised(func(ctx context.Context, state *lib.State) (any, error) {
		var lock sync.Mutex
		var sum Burst
		c.burst(ctx, count, rate, func(found outcome) {
			i.record(ctx, state, tags, found)
			lock.Lock()
			defer lock.Unlock()
			sum.Sent++
			switch {
			case found.lost != "":
				sum.Lost++
			case found.wrong != "":
				sum.Wrong++
			case found.reply.Kiss != "":
				sum.Kod++
			default:
				sum.Answered++
			}
		})
		return sum, nil
	})
}

func (i *instance) flow(c *client, rate, seconds float64) *sobek.Promise {
	tags := i.tags(c)
	return i.promised(func(ctx context.Context, state *lib.State) (any, error) {
		var sum Burst
		err := c.flow(ctx, rate, time.Duration(seconds*float64(time.Second)), func(part tally) {
			i.recordTally(ctx, state, tags, part)
			sum.Sent += part.sent
			sum.Answered += part.replies
			sum.Lost += total(part.lost)
			sum.Wrong += total(part.wrong)
			sum.Kod += total(part.kiss)
		})
		return sum, err
	})
}

func (i *instance) hostile(c *client, rate, seconds float64) *sobek.Promise {
	tags := i.tags(c)
	return i.promised(func(ctx context.Context, state *lib.State) (any, error) {
		sum, err := c.hostile(ctx, rate, time.Duration(seconds*float64(time.Second)))
		i.push(ctx, state, tags, i.hostileSent, float64(sum.SentBytes))
		i.push(ctx, state, tags, i.hostileReceived, float64(sum.ReceivedBytes))
		return sum, err
	})
}

func total(counts map[string]int) int {
	sum := 0
	for _, count := range counts {
		sum += count
	}
	return sum
}

// recordTally pushes all of it at once: k6 takes a slice as readily as a sample.
func (i *instance) recordTally(ctx context.Context, state *lib.State, tags *metrics.TagSet, part tally) {
	now := time.Now()
	samples := make(metrics.Samples, 0, 2*len(part.durations)+8)
	add := func(metric *metrics.Metric, tags *metrics.TagSet, value float64) {
		samples = append(samples, metrics.Sample{TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags}, Time: now, Value: value})
	}
	if part.sent > 0 {
		add(i.requests, tags, float64(part.sent))
	}
	if part.replies > 0 {
		add(i.replies, tags, float64(part.replies))
	}
	if part.late > 0 {
		add(i.late, tags, float64(part.late))
	}
	if part.took > 0 {
		add(i.flowSeconds, tags, part.took.Seconds())
	}
	for word, count := range part.lost {
		add(i.lost, tags.With("reason", word), float64(count))
	}
	for word, count := range part.wrong {
		add(i.wrong, tags.With("reason", word), float64(count))
	}
	for word, count := range part.kiss {
		add(i.kiss, tags.With("kiss", word), float64(count))
	}
	for index, duration := range part.durations {
		add(i.duration, tags, duration)
		add(i.offset, tags, part.offsets[index])
	}
	if len(samples) > 0 {
		metrics.PushIfNotDone(ctx, state.Samples, samples)
	}
}

func (i *instance) exchange(c *client) *sobek.Promise {
	tags := i.tags(c)
	return i.promised(func(ctx context.Context, state *lib.State) (any, error) {
		if c.options.nts == nil {
			return nil, errNoCookie
		}
		c.lock.Lock()
		took, err := c.exchange(ctx)
		c.lock.Unlock()
		if err != nil {
			i.push(ctx, state, tags, i.handshakeFail, 1)
			return map[string]any{"ok": false, "error": err.Error()}, nil
		}
		i.push(ctx, state, tags, i.handshakes, 1)
		i.push(ctx, state, tags, i.handshake, float64(took)/float64(time.Millisecond))
		return map[string]any{"ok": true, "cookies": len(c.nts.cookies)}, nil
	})
}

// tags of the VU at this moment, and what kind of request it is.
func (i *instance) tags(c *client) *metrics.TagSet {
	state := i.vu.State()
	if state == nil {
		return nil
	}
	kind := "plain"
	switch {
	case c.options.key != nil:
		kind = "keyed"
	case c.options.nts != nil:
		kind = "nts"
	}
	return state.Tags.GetCurrentValues().Tags.With("auth", kind).With("version", string(rune('0'+c.options.version)))
}

func (i *instance) record(ctx context.Context, state *lib.State, tags *metrics.TagSet, found outcome) {
	i.push(ctx, state, tags, i.requests, 1)
	if found.handshake > 0 && found.lost != "keys" {
		i.push(ctx, state, tags, i.handshakes, 1)
		i.push(ctx, state, tags, i.handshake, float64(found.handshake)/float64(time.Millisecond))
	}
	switch {
	case found.lost != "":
		i.push(ctx, state, tags.With("reason", found.lost), i.lost, 1)
		if found.lost == "keys" {
			i.push(ctx, state, tags, i.handshakeFail, 1)
		}
	case found.wrong != "":
		i.push(ctx, state, tags.With("reason", found.wrong), i.wrong, 1)
	case found.reply.Kiss != "":
		i.push(ctx, state, tags.With("kiss", found.reply.Kiss), i.kiss, 1)
	default:
		i.push(ctx, state, tags, i.replies, 1)
		i.push(ctx, state, tags, i.duration, float64(found.duration)/float64(time.Millisecond))
		i.push(ctx, state, tags, i.offset, found.reply.Offset*1000)
	}
}

func (*instance) push(ctx context.Context, state *lib.State, tags *metrics.TagSet, metric *metrics.Metric, value float64) {
	metrics.PushIfNotDone(ctx, state.Samples, metrics.Sample{
		TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags}, Time: time.Now(), Value: value,
	})
}
