"""Sends messages with Google's own library; run by `test_firebase.py` in a process that can import it.

python firebase_messages.py URL SERVICE_ACCOUNT_FILE TOKEN...

Each message goes to each token. Standard output is a JSON object: `bodies` as the library writes them, by name and without
a target, and `said`, what it reports of each send.
"""

import datetime
import json
import sys

import firebase_admin
from firebase_admin import exceptions, messaging

TTL = datetime.timedelta(hours=6)


def messages(token: str) -> dict[str, messaging.Message]:
    """One message of each kind: what a rule sends usually, and every field that the library has."""
    shown = messaging.Notification(title="Deposit", body="1,234.56 EUR", image="https://bank.example/logo.png")
    return {
        "usual": messaging.Message(
            token=token,
            notification=messaging.Notification(title="Deposit", body="1,234.56 EUR"),
            data={"account": "7"},
            android=messaging.AndroidConfig(priority="high", ttl=TTL, collapse_key="balance"),
        ),
        "silent": messaging.Message(
            token=token, data={"changed": "accounts"}, android=messaging.AndroidConfig(priority="normal", ttl=0)
        ),
        "android": messaging.Message(
            token=token,
            notification=shown,
            android=messaging.AndroidConfig(
                collapse_key="balance",
                priority="high",
                ttl=datetime.timedelta(seconds=3, milliseconds=500),
                restricted_package_name="com.example.bank",
                data={"account": "7"},
                direct_boot_ok=True,
                bandwidth_constrained_ok=True,
                restricted_satellite_ok=False,
                fcm_options=messaging.AndroidFCMOptions(analytics_label="deposits"),
                notification=messaging.AndroidNotification(
                    title="Deposit",
                    body="1,234.56 EUR",
                    icon="coin",
                    color="#0a141e",
                    sound="default",
                    tag="balance",
                    click_action="OPEN",
                    body_loc_key="deposit_body",
                    body_loc_args=["1", "2"],
                    title_loc_key="deposit_title",
                    title_loc_args=["3"],
                    channel_id="deposits",
                    image="https://bank.example/logo.png",
                    ticker="Deposit",
                    sticky=True,
                    event_timestamp=datetime.datetime(2026, 3, 4, 5, 6, 7, 890000, datetime.UTC),
                    local_only=False,
                    priority="high",
                    vibrate_timings_millis=[100, 50, 250],
                    default_vibrate_timings=False,
                    default_sound=True,
                    default_light_settings=False,
                    light_settings=messaging.LightSettings(
                        color="#aabbccdd", light_on_duration_millis=200, light_off_duration_millis=300
                    ),
                    visibility="private",
                    notification_count=3,
                    proxy="if_priority_lowered",
                ),
            ),
            fcm_options=messaging.FCMOptions(analytics_label="all"),
        ),
        "apns": messaging.Message(
            token=token,
            apns=messaging.APNSConfig(
                headers={"apns-priority": "10", "apns-expiration": "1900000000"},
                live_activity_token="a1b2",
                fcm_options=messaging.APNSFCMOptions(analytics_label="ios", image="https://bank.example/logo.png"),
                payload=messaging.APNSPayload(
                    aps=messaging.Aps(
                        alert=messaging.ApsAlert(title="Deposit", subtitle="Today", body="1,234.56 EUR"),
                        badge=3,
                        sound=messaging.CriticalSound(name="default", critical=True, volume=0.5),
                        content_available=True,
                        mutable_content=True,
                        category="deposit",
                        thread_id="balance",
                        custom_data={"interruption-level": "time-sensitive"},
                    ),
                    account=7,
                ),
            ),
        ),
        "webpush": messaging.Message(
            token=token,
            webpush=messaging.WebpushConfig(
                headers={"TTL": "60", "Urgency": "high"},
                data={"account": "7"},
                notification=messaging.WebpushNotification(
                    title="Deposit",
                    body="1,234.56 EUR",
                    icon="https://bank.example/coin.png",
                    actions=[messaging.WebpushNotificationAction("open", "Open")],
                    require_interaction=True,
                    timestamp_millis=1900000000000,
                    vibrate=[100, 50],
                    custom_data={"account": 7},
                ),
                fcm_options=messaging.WebpushFCMOptions(link="https://bank.example/inbox"),
            ),
        ),
    }


def send(message: messaging.Message) -> str:
    """What the library reports: "" for a success, else the name of its error."""
    try:
        messaging.send(message)
    except exceptions.FirebaseError as error:
        return type(error).__name__
    return ""


def main(url: str, account: str, *tokens: str) -> None:
    """Send, and print."""
    messaging._MessagingService.FCM_URL = f"{url}/v1/projects/{{0}}/messages:send"
    firebase_admin.initialize_app(firebase_admin.credentials.Certificate(account))
    bodies = {}
    for name, message in messages(tokens[0]).items():
        bodies[name] = messaging._MessagingService.encode_message(message)
        del bodies[name]["token"]
    said = {token: {name: send(message) for name, message in messages(token).items()} for token in tokens}
    print(json.dumps({"bodies": bodies, "said": said}))


if __name__ == "__main__":
    main(*sys.argv[1:])
