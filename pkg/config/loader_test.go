package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

type adapter struct {
	Brokers  []string          `envconfig:"BROKERS" required:"true" desc:"host:port of brokers"`
	Password Secret            `envconfig:"PASSWORD" desc:"password of the user"`
	Pin      int               `envconfig:"PIN" secret:"true" desc:"a secret that is no text"`
	Wait     time.Duration     `envconfig:"WAIT" default:"5s" desc:"time to wait"`
	Size     Bytes             `envconfig:"SIZE" default:"1MiB" desc:"most bytes"`
	Retries  uint8             `envconfig:"RETRIES" default:"3" desc:"attempts"`
	Path     string            `envconfig:"PATH" desc:"a file"`
	Nets     []netip.Prefix    `envconfig:"NETS" desc:"networks"`
	Tags     map[string]string `envconfig:"TAGS" desc:"tags"`
	TLS      tls               `envconfig:"TLS"`
	On       bool              `envconfig:"ON" default:"true" desc:"switch"`
}

type tls struct {
	CA string `envconfig:"CA" desc:"file with certificates"`
}

func (a *adapter) Validate() error {
	if a.Retries > 9 {
		return errors.New("RETRIES must be at most 9")
	}
	return nil
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(environ ...string) (adapter, *Loader, error) {
	var a adapter
	l := NewLoader(environ)
	l.Fill("FORETOP_X", &a)
	return a, l, l.Finish()
}

func TestFillReadsEveryTypeOfValue(t *testing.T) {
	got, _, err := load(
		"FORETOP_X_BROKERS= a:1 ,b:2,", "FORETOP_X_PASSWORD=s3cret", "FORETOP_X_PIN=7", "FORETOP_X_WAIT=2m",
		"FORETOP_X_SIZE=8KiB", "FORETOP_X_RETRIES=4", "FORETOP_X_PATH=/var/log/\"quoted\"\\x", "FORETOP_X_NETS=10.0.0.0/8, fd00::/8",
		"FORETOP_X_TAGS=team:platform,tier:1", "FORETOP_X_TLS_CA=/ca.pem", "FORETOP_X_ON=false", "OTHER=1")
	if err != nil {
		t.Fatal(err)
	}
	want := adapter{
		Brokers: []string{"a:1", "b:2"}, Password: "s3cret", Pin: 7, Wait: 2 * time.Minute, Size: 8 << 10, Retries: 4,
		Path: `/var/log/"quoted"\x`, Nets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		Tags: map[string]string{"team": "platform", "tier": "1"}, TLS: tls{CA: "/ca.pem"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsHoldAndEmptyCountsAsNotSet(t *testing.T) {
	got, _, err := load("FORETOP_X_BROKERS=a:1", "FORETOP_X_WAIT=", "FORETOP_X_PASSWORD=")
	if err != nil {
		t.Fatal(err)
	}
	if got.Wait != 5*time.Second || got.Size != 1<<20 || got.Retries != 3 || !got.On || got.Password != "" {
		t.Errorf("defaults: %+v", got)
	}
}

func TestVariablesWithoutOurPrefixAreNeverRead(t *testing.T) {
	t.Setenv("PATH", "/usr/bin")
	t.Setenv("PASSWORD", "stray")
	t.Setenv("VALUE", "stray")
	got, _, err := load(append(os.Environ(), "FORETOP_X_BROKERS=a:1")...)
	if err != nil {
		t.Fatal(err)
	}
	if got.Path != "" || got.Password != "" {
		t.Errorf("read foreign variables: path %q, password %q", got.Path, got.Password.Reveal())
	}
}

func TestValuesComeFromFiles(t *testing.T) {
	for name, tc := range map[string]struct{ content, want string }{
		"one newline at the end is dropped":      {"pw\n", "pw"},
		"only one newline is dropped":            {"pw\n\n", "pw\n"},
		"a carriage return goes with its line":   {"pw\r\n", "pw"},
		"blanks belong to the value":             {" pw ", " pw "},
		"bytes that are no text come through":    {"p\xffw", "p\xffw"},
		"quotes and backslashes are not special": {`p"\w`, `p"\w`},
	} {
		t.Run(name, func(t *testing.T) {
			got, l, err := load("FORETOP_X_BROKERS=a:1", "FORETOP_X_PASSWORD_FILE="+writeFile(t, tc.content))
			if err != nil {
				t.Fatal(err)
			}
			if got.Password.Reveal() != tc.want {
				t.Errorf("got %q, want %q", got.Password.Reveal(), tc.want)
			}
			if origin := l.Values()[1].Origin; origin != FromFile {
				t.Errorf("origin %q", origin)
			}
		})
	}
}

func TestProblemsSayWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct {
		environ []string
		want    string
	}{
		"required":              {nil, "FORETOP_X_BROKERS is required: host:port of brokers"},
		"required and empty":    {[]string{"FORETOP_X_BROKERS="}, "FORETOP_X_BROKERS is required: host:port of brokers"},
		"required, empty list":  {[]string{"FORETOP_X_BROKERS= , "}, "FORETOP_X_BROKERS is required and holds an empty list: host:port of brokers"},
		"both forms":            {[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_BROKERS_FILE=/b"}, "FORETOP_X_BROKERS and FORETOP_X_BROKERS_FILE are both set: keep one"},
		"no such file":          {[]string{"FORETOP_X_BROKERS_FILE=/no/such"}, "FORETOP_X_BROKERS_FILE: open /no/such: no such file or directory"},
		"duration without unit": {[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_WAIT=25"}, "FORETOP_X_WAIT=25: write a number with its unit, for example 30s, 5m or 1h"},
		"size":                  {[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_SIZE=1GB"}, "FORETOP_X_SIZE=1GB: write a size as 512KiB, 64MiB or 1GiB"},
		"out of range":          {[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_RETRIES=300"}, "FORETOP_X_RETRIES=300: write whole number"},
		"boolean":               {[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_ON=yes"}, "FORETOP_X_ON=yes: write true or false"},
		"map":                   {[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_TAGS=team"}, "FORETOP_X_TAGS=team: write name:value pairs with commas between them"},
		"element of a list":     {[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_NETS=10.0.0.0"}, `FORETOP_X_NETS=10.0.0.0: netip.ParsePrefix("10.0.0.0"): no '/'`},
		"validation":            {[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_RETRIES=10"}, "FORETOP_X_*: RETRIES must be at most 9"},
		"typing error":          {[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_PASWORD=x"}, "FORETOP_X_PASWORD is no setting: did you mean FORETOP_X_PASSWORD?"},
		"file of a typing error": {
			[]string{"FORETOP_X_BROKERS=a", "FORETOP_X_PASSWORDFILE=x"}, "FORETOP_X_PASSWORDFILE is no setting: did you mean FORETOP_X_PASSWORD_FILE?",
		},
		"nothing near": {[]string{"FORETOP_X_BROKERS=a", "FORETOP_COLOUR=x"}, "FORETOP_COLOUR is no setting; `foretop config` lists all of them"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(tc.environ...)
			if err == nil {
				t.Fatal("no error")
			}
			if err.Error() != tc.want {
				t.Errorf("got  %s\nwant %s", err, tc.want)
			}
		})
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	_, _, err := load("FORETOP_X_WAIT=x", "FORETOP_X_SIZE=y", "FORETOP_X_PORT=1", "FORETOP_X_ON=2")
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"FORETOP_X_BROKERS", "FORETOP_X_WAIT", "FORETOP_X_SIZE", "FORETOP_X_PORT", "FORETOP_X_ON"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is missing in:\n%s", name, err)
		}
	}
}

func TestSecretsAreNeverTold(t *testing.T) {
	const secret = "hunter2hunter2"
	secretFile := writeFile(t, secret+"\n")
	for name, environ := range map[string][]string{
		"in a parse error of a secret number": {"FORETOP_X_PIN=" + secret},
		"in a parse error of a file":          {"FORETOP_X_PIN_FILE=" + secretFile},
		"beside another error":                {"FORETOP_X_PASSWORD=" + secret, "FORETOP_X_WAIT=soon"},
		"in both forms":                       {"FORETOP_X_PASSWORD=" + secret, "FORETOP_X_PASSWORD_FILE=" + secretFile},
		"under a wrong name":                  {"FORETOP_X_PASWORD=" + secret},
		"in the address of a broken setting":  {"FORETOP_X_SIZE=https://user:" + secret + "@host/"},
		"in a long list of addresses":         {"FORETOP_X_NETS=http://a,http://user:" + secret + "@host/" + strings.Repeat("x", 100)},
	} {
		t.Run(name, func(t *testing.T) {
			_, l, err := load(environ...)
			var shown strings.Builder
			if werr := WriteEffective(&shown, l.Values()); werr != nil {
				t.Fatal(werr)
			}
			if err == nil {
				t.Error("no error")
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error holds the secret: %s", err)
			}
			if strings.Contains(shown.String(), "hunter2") {
				t.Errorf("--effective holds the secret: %s", shown.String())
			}
		})
	}
}

func TestNamesThatKubernetesInjectsAreNoSettings(t *testing.T) {
	_, _, err := load("FORETOP_X_BROKERS=a:1",
		"FORETOP_SERVICE_HOST=10.0.0.1", "FORETOP_SERVICE_PORT=9464", "FORETOP_SERVICE_PORT_METRICS=9464",
		"FORETOP_PORT=tcp://10.0.0.1:9464", "FORETOP_PORT_9464_TCP=tcp://10.0.0.1:9464", "FORETOP_PORT_9464_TCP_PROTO=tcp",
		"FORETOP_PORT_9464_TCP_PORT=9464", "FORETOP_PORT_9464_TCP_ADDR=10.0.0.1", "FORETOP_PORT_53_UDP=udp://10.0.0.1:53",
		"FORETOP_KAFKA_SERVICE_HOST=10.0.0.2", "FORETOP_KAFKA_PORT=tcp://10.0.0.2:9092", "FORETOP_KAFKA_PORT_9092_TCP=tcp://10.0.0.2:9092")
	if err != nil {
		t.Error(err)
	}
	if _, _, err = load("FORETOP_X_BROKERS=a:1", "FORETOP_KAFKA_PORT=9092"); err == nil {
		t.Error("a port that is no address of a Service was accepted")
	}
}

func TestSettingsOfWhatIsNotInUseAreProblems(t *testing.T) {
	var a adapter
	l := NewLoader([]string{"FORETOP_X_BROKERS=a:1", "FORETOP_Y_BROKERS_FILE=/b", "FORETOP_Y_WAIT="}) // empty counts as not set
	l.Fill("FORETOP_X", &a)
	l.Inactive("FORETOP_Y", &adapter{}, "FORETOP_SINKS does not name y")
	want := "FORETOP_Y_BROKERS_FILE has no effect: FORETOP_SINKS does not name y"
	if err := l.Finish(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSettingsOfOtherCommandsAreNoProblem(t *testing.T) {
	l := NewLoader([]string{"FORETOP_Y_BROKERS=", "FORETOP_Y_WAIT=never", "FORETOP_Y_WAYT=1"})
	l.Ignore("FORETOP_Y", &adapter{})
	want := "FORETOP_Y_WAYT is no setting: did you mean FORETOP_Y_WAIT?"
	if err := l.Finish(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFileOfNamesTheFileForRotation(t *testing.T) {
	path := writeFile(t, "pw")
	_, l, err := load("FORETOP_X_BROKERS=a", "FORETOP_X_PASSWORD_FILE="+path)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.FileOf("FORETOP_X_PASSWORD"); got != path {
		t.Errorf("got %q, want %q", got, path)
	}
	if got := l.FileOf("FORETOP_X_BROKERS"); got != "" {
		t.Errorf("a value from the environment has file %q", got)
	}
}

func TestADefaultCanComeFromAnotherSetting(t *testing.T) {
	for environ, want := range map[string]Value{"": {Text: "b:2", Origin: FromDefault}, "FORETOP_X_BROKERS=a:1": {Text: "a:1", Origin: FromEnv}} {
		var a adapter
		l := NewLoader([]string{environ})
		l.Default("FORETOP_X_BROKERS", "b:2")
		l.Fill("FORETOP_X", &a)
		if err := l.Finish(); err != nil {
			t.Fatal(err)
		}
		if got := l.Values()[0]; got.Text != want.Text || got.Origin != want.Origin || a.Brokers[0] != want.Text {
			t.Errorf("%q: %+v", environ, got)
		}
	}
}

func TestTwoStructsCannotShareAName(t *testing.T) {
	var a, b adapter
	l := NewLoader([]string{"FORETOP_X_BROKERS=a:1"})
	l.Fill("FORETOP_X", &a)
	l.Fill("FORETOP_X", &b)
	if err := l.Finish(); err == nil || !strings.Contains(err.Error(), "FORETOP_X_BROKERS means two settings") {
		t.Errorf("got %v", err)
	}
}

func TestGivenSeesValuesAndFiles(t *testing.T) {
	l := NewLoader([]string{"FORETOP_X_PASSWORD_FILE=/p", "FORETOP_Y_PASSWORD=", "FORETOP_Z_PORT=tcp://1.2.3.4:5"})
	for prefix, want := range map[string]bool{"FORETOP_X": true, "FORETOP_Y": false, "FORETOP_Z": false} {
		if got := l.Given(prefix, &adapter{}); got != want {
			t.Errorf("Given(%s) = %v", prefix, got)
		}
	}
}

func FuzzLoaderKeepsAnyTextAsItIs(f *testing.F) {
	f.Add(`a"b\c`)
	f.Add("\x00\xff=,: \n")
	f.Fuzz(func(t *testing.T, text string) {
		got, _, err := load("FORETOP_X_BROKERS=a:1", "FORETOP_X_PATH="+text)
		if err != nil {
			t.Fatal(err)
		}
		if got.Path != text {
			t.Errorf("%q became %q", text, got.Path)
		}
	})
}
