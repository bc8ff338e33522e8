package ntp

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.k6.io/k6/v2/metrics"
	"go.k6.io/k6/v2/output"
)

// `--out timeline=FILE`: what happened in each second, a line of JSON a second. k6's own JSON output has a line a sample,
// which at 20,000 requests a second is more work than the requests are.

func init() {
	output.RegisterExtension("timeline", func(given output.Params) (output.Output, error) {
		return &timeline{path: given.ConfigArgument, seconds: map[int64]map[seriesName]*series{}}, nil
	})
}

// settling is how long a second waits for its last samples.
const settling = 1500 * time.Millisecond

// seriesName: tag is the word that says why, for what is lost, wrong or refused.
// step is the rate of a load that has several.
type seriesName struct{ metric, load, step, tag string }

type series struct {
	sum    float64
	values []float64
}

type timeline struct {
	output.SampleBuffer
	path    string
	file    *os.File
	to      *bufio.Writer
	flusher *output.PeriodicFlusher
	lock    sync.Mutex
	seconds map[int64]map[seriesName]*series
}

// Line is one second of one series as it is written.
type Line struct {
	Second int64    `json:"second"`
	Metric string   `json:"metric"`
	Load   string   `json:"load"`
	Step   string   `json:"step,omitempty"`
	Tag    string   `json:"tag,omitempty"`
	Sum    float64  `json:"sum"`
	Count  int      `json:"count"`
	P50    *float64 `json:"p50,omitempty"`
	P95    *float64 `json:"p95,omitempty"`
	P99    *float64 `json:"p99,omitempty"`
	Max    *float64 `json:"max,omitempty"`
}

func (t *timeline) Description() string { return "timeline (" + t.path + ")" }

func (t *timeline) Start() error {
	file, err := os.Create(t.path)
	if err != nil {
		return err
	}
	t.file, t.to = file, bufio.NewWriter(file)
	t.flusher, err = output.NewPeriodicFlusher(500*time.Millisecond, func() { t.flush(time.Now().Add(-settling)) })
	return err
}

func (t *timeline) Stop() error {
	t.flusher.Stop()
	t.flush(time.Now().Add(time.Hour))
	return t.file.Close()
}

// flush takes in what has come and writes the seconds that ended before a moment.
func (t *timeline) flush(before time.Time) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for _, container := range t.GetBufferedSamples() {
		for _, sample := range container.GetSamples() {
			if strings.HasPrefix(sample.Metric.Name, "nt") {
				t.add(sample)
			}
		}
	}
	ended := []int64{}
	for second := range t.seconds {
		if second < before.Unix() {
			ended = append(ended, second)
		}
	}
	slices.Sort(ended)
	encoder := json.NewEncoder(t.to)
	for _, second := range ended {
		for name, found := range t.seconds[second] {
			_ = encoder.Encode(found.line(second, name))
		}
		delete(t.seconds, second)
	}
	_ = t.to.Flush()
}

func (t *timeline) add(sample metrics.Sample) {
	second := sample.Time.Unix()
	if t.seconds[second] == nil {
		t.seconds[second] = map[seriesName]*series{}
	}
	name := seriesName{metric: sample.Metric.Name}
	name.load, _ = sample.Tags.Get("scenario")
	name.step, _ = sample.Tags.Get("step")
	for _, word := range []string{"reason", "kiss"} {
		if tag, has := sample.Tags.Get(word); has {
			name.tag = tag
		}
	}
	found := t.seconds[second][name]
	if found == nil {
		found = &series{}
		t.seconds[second][name] = found
	}
	found.sum += sample.Value
	if sample.Metric.Type == metrics.Trend {
		found.values = append(found.values, sample.Value)
	}
}

func (s *series) line(second int64, name seriesName) Line {
	line := Line{Second: second, Metric: name.metric, Load: name.load, Step: name.step, Tag: name.tag, Sum: s.sum}
	line.Count = len(s.values)
	if len(s.values) > 0 {
		slices.Sort(s.values)
		at := func(share float64) *float64 { return &s.values[int(share*float64(len(s.values)-1)+0.5)] }
		line.P50, line.P95, line.P99, line.Max = at(0.5), at(0.95), at(0.99), at(1)
	}
	return line
}
