"""What exists in Emojiland: classes, the pictures that stand for them, and the prompt templates."""

OBJECTS = {
    "horse": "🐎", "boat": "⛵", "cat": "🐈", "elephant": "🐘", "tiger": "🐅", "cow": "🐄",
    "pig": "🐖", "panda": "🐼", "frog": "🐸", "turtle": "🐢", "penguin": "🐧", "owl": "🦉",
    "butterfly": "🦋", "lobster": "🦞", "apple": "🍎", "banana": "🍌", "pizza": "🍕",
    "cake": "🎂", "car": "🚗", "bus": "🚌", "bicycle": "🚲", "rocket": "🚀", "guitar": "🎸",
    "umbrella": "☂️", "clock": "⏰", "key": "🔑",
}  # fmt: skip

# Each profession as the joined sequence of a person and a sign: (woman, man).
PROFESSIONS = {
    "cook": ("👩‍🍳", "👨‍🍳"), "farmer": ("👩‍🌾", "👨‍🌾"), "firefighter": ("👩‍🚒", "👨‍🚒"),
    "judge": ("👩‍⚖️", "👨‍⚖️"), "mechanic": ("👩‍🔧", "👨‍🔧"), "astronaut": ("👩‍🚀", "👨‍🚀"),
    "artist": ("👩‍🎨", "👨‍🎨"),
}  # fmt: skip

# Doctors and nurses look alike; the cue in front of them says which they are.
MEDICAL = ("👩‍⚕️", "👨‍⚕️")
CUES = {"doctor": "📋", "nurse": "💉"}

CLASSES = (*OBJECTS, *PROFESSIONS, *CUES)
BACKGROUNDS = ("grass", "water", "sand", "snow", "night", "brick", "wood", "sky")
GENDERS = ("woman", "man")

TEMPLATE = "a photo of a {}."
TEMPLATES = (
    TEMPLATE, "a {}.", "{}", "a picture of a {}.", "an image of the {}.", "there is a {}.",
    "a photo of the {}.", "a drawing of a {}.", "a small {}.", "this is a {}.",
)  # fmt: skip
