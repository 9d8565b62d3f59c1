package ui

import "time"

const (
	rateWindow = 30 * time.Second // the rate is of the last so many seconds
	etaFrom    = 0.02             // before this share is done, a guess at the end would only mislead
)

// meter turns readings of how much is done into a rate and the time that is left. It starts at what it reads
// first: what an earlier run copied says nothing about this one's speed.
type meter struct {
	samples []sample
	total   int64
}

type sample struct {
	at   time.Time
	done int64
}

func (m *meter) read(at time.Time, done, total int64) {
	m.total = total
	m.samples = append(m.samples, sample{at, done})
	for len(m.samples) > 2 && at.Sub(m.samples[1].at) >= rateWindow {
		m.samples = m.samples[1:]
	}
}

// rate is in bytes per second; 0 is unknown.
func (m meter) rate() float64 {
	if len(m.samples) < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	took := last.at.Sub(first.at).Seconds()
	if took <= 0 || last.done <= first.done {
		return 0
	}
	return float64(last.done-first.done) / took
}

// left is how long the rest takes at this rate; false is unknown.
func (m meter) left() (time.Duration, bool) {
	rate := m.rate()
	if rate <= 0 || m.total <= 0 {
		return 0, false
	}
	done := m.samples[len(m.samples)-1].done
	if float64(done) < etaFrom*float64(m.total) || done >= m.total {
		return 0, false
	}
	s := float64(m.total-done) / rate
	if s > float64(100*24*time.Hour/time.Second) {
		return 0, false
	}
	return time.Duration(s * float64(time.Second)), true
}
