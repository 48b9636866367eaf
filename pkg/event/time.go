package event

import "time"

// ParseTime reads a timestamp as it occurs in audit events and beside them: RFC 3339 with any number of
// fractional digits (of which nine count) and Z or an offset; also with a space for the T, and without a
// zone, which means UTC. It does not allocate.
func ParseTime[T string | []byte](s T) (time.Time, bool) {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':' || s[10] != 'T' && s[10] != 't' && s[10] != ' ' {
		return time.Time{}, false
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	hour, ok4 := digits(s[11:13])
	minute, ok5 := digits(s[14:16])
	second, ok6 := digits(s[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	nanos, i := 0, 19
	if i < len(s) && (s[i] == '.' || s[i] == ',') {
		first, scale := i+1, int(1e9)
		for i++; i < len(s) && s[i]-'0' <= 9; i++ {
			if scale > 1 {
				scale /= 10
				nanos += int(s[i]-'0') * scale
			}
		}
		if i == first {
			return time.Time{}, false
		}
	}
	offset, ok := zone(s[i:])
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	if !ok || t.Day() != day && second < 60 {
		return time.Time{}, false // 30 February
	}
	if t = t.Add(-offset); t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, false // JSON cannot say it
	}
	return t, true
}

// zone reads Z, an offset, or nothing.
func zone[T string | []byte](s T) (time.Duration, bool) {
	switch {
	case len(s) == 0:
		return 0, true
	case len(s) == 1:
		return 0, s[0] == 'Z' || s[0] == 'z'
	case len(s) != 6 && len(s) != 5 || s[0] != '+' && s[0] != '-' || len(s) == 6 && s[3] != ':':
		return 0, false
	}
	hours, ok1 := digits(s[1:3])
	minutes, ok2 := digits(s[len(s)-2:])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

func digits[T string | []byte](s T) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
