package connectortest

import "strings"

// rule is one promise of the driver boundary: its name, a colon, and a text that
// tells who broke it what would go wrong.
type rule string

func (r rule) name() string {
	name, _, _ := strings.Cut(string(r), ": ")
	return name
}

func (r rule) text() string {
	_, text, _ := strings.Cut(string(r), ": ")
	return text
}

const (
	ruleRegistry rule = "registry: connector.NewRegistry must accept the connector: what it refuses fails at the first consent or webhook."
	ruleHTTPS    rule = "https: addresses in Describe are https: client secrets and tokens are sent there. Tests replace them through WithEndpoints."
	ruleTemplate rule = "template: a Template without a value for its placeholder must fail: an empty one would name another resource or host."

	ruleVerifyRight    rule = "verify right: Verify must accept what the provider signed with one of the secrets, the older one during a rotation included."
	ruleVerifyNone     rule = "verify none: Verify without any secret must fail: a key that is not set up yet is not a pass."
	ruleVerifyEmpty    rule = "verify empty: Verify with an empty secret must fail, also for a request signed with it: everybody knows the empty secret."
	ruleVerifyWrong    rule = "verify wrong: Verify with only wrong secrets must fail: else anybody can send."
	ruleVerifyBody     rule = "verify body: Verify must fail when the body differs from what was signed. Where the provider's proof does not cover it, set BodyUnsigned."
	ruleVerifyHeaders  rule = "verify headers: Verify must fail when the proof is missing: a request without headers proves nothing."
	ruleVerifyUnproven rule = "verify unproven: Verify's error must wrap connector.ErrUnproven: the engine answers 401 to that and 503 to anything else, so that the provider would try forever."
	ruleVerifyPure     rule = "verify pure: Verify must leave the request as it is: Decode reads it next."

	ruleDecode         rule = "decode: Decode must understand the request: it is a real one."
	ruleDecodeRepeat   rule = "decode repeat: Decode is pure: the same request gives the same Keys and payloads each time, or a repeated delivery becomes a second event."
	ruleDecodePure     rule = "decode pure: Decode must leave the request as it is: it is stored and may be decoded again."
	ruleDecodeDeclared rule = "decode declared: an Occurrence names a declared Trigger, has a Key, a Payload of that Trigger's type that its schema accepts, and Raw that is JSON or nothing."
	ruleDecodeDistinct rule = "decode distinct: the Occurrences of one request that concern the same are different ones: equal Keys of one Trigger would be stored once, and the rest lost."
	ruleDecodeBatch    rule = "decode batch: Decode of a batch must equal Decode of its parts: how the provider bundles is not what happened."
	ruleDecodeStranger rule = "decode stranger: requests of two accounts must not share a Key in Notice.To: one would get the other's events."
	ruleDecodeTo       rule = "decode to: a Notice at the App's address must say in To whom it concerns: else it reaches nobody."
	ruleDecodeGarbage  rule = "decode garbage: Decode must not panic, whatever the body is: an error keeps it, a panic loses it."
	ruleAttributes     rule = "attributes: an Occurrence has an attribute for each Param of its Trigger that does not choose the Resource: Filters fail closed, so without it who narrows gets nothing."
	ruleGolden         rule = "golden: Decode must give what the file beside the request says. CONNECTORTEST_UPDATE=1 writes it anew."

	ruleChallengeSigned rule = "challenge signed: Challenge must return nil for a request that Verify proves: answering before Verify answers everybody. Answer signed handshakes through Decoded.Reply."
	ruleChallengeAnswer rule = "challenge answer: Challenge must answer the handshake: else the provider does not enable the webhook."
	ruleChallengeOracle rule = "challenge oracle: Challenge's answer must not depend on the secrets: whoever asks gets what the key makes of a text of his choice, which is a forged signature."
	ruleChallengeSecond rule = "challenge second: a handshake that teaches a key must say so (Handshake.Secret) also when a key is known: the engine refuses the second one, so that nobody takes the address over."

	ruleSubscribe   rule = "subscribe: Subscribe must make exactly one watch and return its id."
	ruleResubscribe rule = "subscribe again: Subscribe with Held.ID set replaces that watch: once the engine has removed a former id, one must be left, or each event comes twice."
	ruleUnsubscribe rule = "unsubscribe: Unsubscribe must remove the watch, and what is already gone is no error: else a Connection can never be disconnected."
	ruleParams      rule = "params: CheckParams must reject no Filter without params and each of Provider.Misspelt, a ParamError names a declared Param of the Trigger with its value, and it must change nothing at the provider: it is asked again and again."
	ruleList        rule = "list: List must return the watch with the ID that Subscribe returned and the Address that it was given: that is how leftovers are recognised."
	ruleExpandStart rule = "expand start: Expand with n == nil and an empty Cursor must report nothing and set a Cursor: a new Connection must not get years of old events."
	ruleIdentify    rule = "identify: Identify must return at least one Identity, each with an ID, and the same ones when asked again: they are what a reconnect is recognised by."
	ruleIdentities  rule = "identities: two Identities must differ in ID and share no Key: else one account gets the other's events."
)
