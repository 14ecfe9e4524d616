<?php
// Requests as the vendors' PHP SDKs sign and send them, by a signer of ours: over a plain socket, so that nothing escapes
// what they leave unescaped.
//   php sign.php huawei TARGET    GET with `X-Sdk-Content-Sha256: UNSIGNED-PAYLOAD` and no body (PHP SDK 3.1.193)
//   php sign.php alibaba          AddPerson with an unescaped ClientInfo in the query (the first PHP SDK)

function answer(string $request): array {
    [$host, $port] = explode(":", substr(getenv("URL"), strlen("http://")));
    $stream = stream_socket_client("tcp://$host:$port", $code, $reason, 30);
    stream_set_timeout($stream, 60);
    fwrite($stream, $request);
    $answer = stream_get_contents($stream);
    [$head, $body] = explode("\r\n\r\n", $answer, 2);
    return ["status" => (int) explode(" ", $head)[1], "head" => explode("\r\n", $head), "body" => json_decode($body)];
}

function host(): string {
    return substr(getenv("URL"), strlen("http://"));
}

/** Query as the SDK's signer writes it: sorted, each name and value encoded. */
function canonical_query(string $query): string {
    $pairs = [];
    foreach (array_filter(explode("&", $query), "strlen") as $pair) {
        [$name, $value] = array_pad(explode("=", $pair, 2), 2, "");
        $pairs[] = rawurlencode(rawurldecode($name)) . "=" . rawurlencode(rawurldecode($value));
    }
    sort($pairs);
    return implode("&", $pairs);
}

function huawei(string $target): array {
    [$path, $query] = array_pad(explode("?", $target, 2), 2, "");
    $date = gmdate("Ymd\\THis\\Z");
    $headers = ["content-type" => "application/json", "host" => host(), "x-sdk-content-sha256" => "UNSIGNED-PAYLOAD", "x-sdk-date" => $date];
    $lines = "";
    foreach ($headers as $name => $value) {
        $lines .= "$name:$value\n";
    }
    $names = implode(";", array_keys($headers));
    $canonical = "GET\n$path/\n" . canonical_query($query) . "\n$lines\n$names\nUNSIGNED-PAYLOAD";
    $signature = hash_hmac("sha256", "SDK-HMAC-SHA256\n$date\n" . hash("sha256", $canonical), getenv("SK"));
    $request = "GET $target HTTP/1.1\r\n";
    foreach ($headers as $name => $value) {
        $request .= "$name: $value\r\n";
    }
    $access = getenv("AK");
    $request .= "Authorization: SDK-HMAC-SHA256 Access=$access, SignedHeaders=$names, Signature=$signature\r\n";
    return answer($request . "Connection: close\r\n\r\n");
}

function alibaba(): array {
    $info = '{"userId":"120234234","userNick":"Mike","userType":"others","ip":"<127.0.0.1>"}';
    $body = '{"personId":"bert","groupIds":["from-php"]}';
    $headers = [
        "Accept" => "application/json",
        "Content-MD5" => base64_encode(md5($body, true)),
        "Content-Type" => "application/json;charset=utf-8",
        "Date" => gmdate("D, d M Y H:i:s \\G\\M\\T"),
        "x-acs-action" => "AddPerson",
        "x-acs-region-id" => "cn-shanghai",
        "x-acs-signature-method" => "HMAC-SHA1",
        "x-acs-signature-nonce" => bin2hex(random_bytes(16)),
        "x-acs-signature-version" => "1.0",
        "x-acs-version" => "2018-05-09",
    ];
    $signed = "POST\n{$headers['Accept']}\n{$headers['Content-MD5']}\n{$headers['Content-Type']}\n{$headers['Date']}\n";
    foreach ($headers as $name => $value) {
        if (str_starts_with($name, "x-acs-")) {
            $signed .= "$name:$value\n";
        }
    }
    // Sorted, and not encoded: neither here nor in the request.
    $target = "/green/sface/person/add?ClientInfo=$info&RegionId=cn-shanghai";
    $signature = base64_encode(hash_hmac("sha1", $signed . $target, getenv("SK"), true));
    $request = "POST $target HTTP/1.1\r\nHost: " . host() . "\r\nContent-Length: " . strlen($body) . "\r\n";
    foreach ($headers as $name => $value) {
        $request .= "$name: $value\r\n";
    }
    return answer("$request" . "Authorization: acs " . getenv("AK") . ":$signature\r\nConnection: close\r\n\r\n$body");
}

echo json_encode($argv[1] === "huawei" ? huawei($argv[2]) : alibaba());
