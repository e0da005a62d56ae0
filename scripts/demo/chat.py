"""What is said. A conversation goes through the turns of one topic, with names of its own filled in."""

import json
import random
import time

PEOPLE = ["Ada", "Bela", "Chen", "Dana", "Emre", "Farah", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lena", "Mara", "Nils", "Oona", "Petra"]
TOWNS = ["Porto", "Gdansk", "Trieste", "Tallinn", "Leipzig", "Bergen", "Seville", "Ghent"]
THINGS = ["desk lamp", "rain jacket", "coffee grinder", "bicycle light", "headset", "bookshelf"]

TOPICS = [
    [
        ("My order {number} has not come yet. It is a {thing}.", "I see it, {name}: the {thing} left our warehouse on Monday and is with the carrier."),
        ("Can you send it to {town} instead?", "Yes. I have asked the carrier to take order {number} to {town}; that adds one day."),
        ("Which day is that then?", "Thursday. You will get a message in the morning with the hour."),
        ("And what if I am not at home?", "They leave it with a neighbour, or at the shop next to the station in {town}, for seven days."),
    ],
    [
        ("I want to go from {town} to Vienna on the 14th, by train.", "There are three: at 7:12, 9:40 and 13:05. Only the one at 9:40 needs no change."),
        ("The second one. Two adults and a child of six.", "That is 118 euros with a family card, {name}, 164 without. Do you have one?"),
        ("We have one.", "Good. I hold three seats at a table, coach 7, until tonight."),
        ("Is there room for two bicycles?", "For one only. The train at 13:05 has room for both; shall I change it?"),
        ("Yes, change it please.", "Done: 13:05 from {town}, coach 4, three seats and two bicycles, 118 euros."),
    ],
    [
        ("Why does my sourdough not rise?", "Most often the starter is too young or the kitchen too cold. How warm is it, {name}?"),
        ("About 18 degrees.", "Then give it twice the time, or put it in the oven with only the light on: that makes about 25."),
        ("How do I see that it is ready?", "Press it with a finger: the dent comes back slowly and not completely."),
    ],
    [
        ("Please help me with a letter to my landlord in {town}: the heating fails.", "Gladly. Since when, and have you told him before?"),
        ("Since the 3rd. I called twice.", "Then name both calls with the date, set a term of ten days, and ask for an answer in writing."),
        ("Can I pay less rent until then?", "Often yes, but the share depends on the country, {name}. Announce it in the letter before you do it."),
        ("Write it for me, short.", "\"The heating of my flat has failed since the 3rd. I have told you twice by telephone. Please have it mended within ten days.\""),
    ],
    [
        ("Which {thing} lasts longest?", "Of those that we sell, the one with steel hinges: we take back fewer than one in a hundred."),
        ("What does it cost?", "74 euros, and 9 more to {town}. You have a voucher for 10 euros, {name}."),
        ("Use the voucher and order one.", "Ordered: number {number}, 73 euros, there by Friday."),
    ],
]


class Conversation:
    """One conversation: its key, and the next thing that is said. Messages are numbered, so that a lost or doubled one shows."""

    def __init__(self, number, chance=random):
        self.key = f"conv:{number}"
        self.turns = iter(chance.choice(TOPICS))
        self.names = {"name": chance.choice(PEOPLE), "town": chance.choice(TOWNS), "thing": chance.choice(THINGS), "number": 40000 + number}
        self.said = 0

    def next_turn(self):
        """(question, answer) as texts, or None when all is said."""
        turn = next(self.turns, None)
        return turn and tuple(text.format(**self.names) for text in turn)

    def message(self, role, content):
        """(its number, the message as JSON)"""
        self.said += 1
        message = {"seq": self.said, "role": role, "content": content, "at": round(time.time(), 3)}
        return self.said, json.dumps(message, ensure_ascii=False)


def number_of(message):
    return json.loads(message)["seq"]
