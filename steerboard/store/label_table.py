"""The table of what people say of features; its migration is what creates it."""

from datetime import datetime

from sqlalchemy import DateTime, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from steerboard.store.tables import Base


class FeatureLabelRow(Base):
    """One thing that a person said of a feature."""

    __tablename__ = "feature_labels"
    __table_args__ = (Index("feature_labels_by_feature", "dictionary", "feature"),)
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    dictionary: Mapped[str] = mapped_column(String(64))
    feature: Mapped[int] = mapped_column(Integer)
    author: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    kind: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(Text)
    value: Mapped[int] = mapped_column(Integer)
