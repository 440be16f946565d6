package ssmwire_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// call calls an operation of the emulator's API, as an SDK of AWS would.
func call(t testing.TB, operation string, input any) (output map[string]any) {
	t.Helper()
	body, err := json.Marshal(input)
	noError(t, err)
	request, err := http.NewRequest(http.MethodPost, emulator["AWS_ENDPOINT_URL_SSM"]+"/", bytes.NewReader(body))
	noError(t, err)
	now, region := time.Now().UTC(), emulator["AWS_REGION"]
	day, moment := now.Format("20060102"), now.Format("20060102T150405Z")
	scope := day + "/" + region + "/ssm/aws4_request"
	canonical := fmt.Sprintf("POST\n/\n\nhost:%s\nx-amz-date:%s\nx-amz-target:%s\n\nhost;x-amz-date;x-amz-target\n%s",
		request.URL.Host, moment, operation, hash(string(body)))
	key := []byte("AWS4" + emulator["AWS_SECRET_ACCESS_KEY"])
	for _, part := range []string{day, region, "ssm", "aws4_request"} {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+moment+"\n"+scope+"\n"+hash(canonical)))
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Date", moment)
	request.Header.Set("X-Amz-Target", operation)
	request.Header.Set("Authorization", fmt.Sprintf(
		"AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=host;x-amz-date;x-amz-target, Signature=%s",
		emulator["AWS_ACCESS_KEY_ID"], scope, signature))
	response, err := http.DefaultClient.Do(request)
	noError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	noError(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", operation, response.Status, answer)
	}
	if len(answer) > 0 {
		noError(t, json.Unmarshal(answer, &output))
	}
	return output
}

// activeSessions returns how many sessions the service knows.
func activeSessions(t testing.TB) int {
	return len(call(t, "AmazonSSM.DescribeSessions", map[string]any{"State": "Active"})["Sessions"].([]any))
}

func mac(key []byte, text string) []byte {
	hashing := hmac.New(sha256.New, key)
	hashing.Write([]byte(text))
	return hashing.Sum(nil)
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
